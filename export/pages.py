"""The ECG pages that certificates are made with."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from edge_runtime.errors import UserError

_PICTURES = (".png", ".jpg", ".jpeg")


def example_pages() -> list[Path]:
    """The ECG pages that come with the project."""
    return sorted((Path(str(resources.files("pulse"))) / "ecg" / "examples").glob("*.png"))


def pages_in(folder: Path | None) -> list[Path]:
    """The pictures in a folder, None: the project's own. Raises UserError when there are none."""
    if folder is None:
        return example_pages()
    pages = sorted(p for p in folder.glob("*") if p.suffix.lower() in _PICTURES) if folder.is_dir() else []
    if not pages:
        raise UserError(f"{folder}: no {', '.join(_PICTURES)} there; give a folder of ECG pages")
    return pages
