"""Write aside, then rename: whoever reads, at any moment, finds a whole file or folder, or the one before it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden file name beside `path`, with the same suffix; rename it to `path` at the end, or remove it when
    anything fails. What a kill leaves is overwritten the next time."""
    path = Path(path)
    aside = _beside(path)
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `replacing`, for a folder: yields a new, empty one. One that is at `path` is removed at the end."""
    path = Path(path)
    aside = _beside(path)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        shutil.rmtree(path, ignore_errors=True)
        os.replace(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace the file by `text` in UTF-8."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _beside(path: Path) -> Path:
    return path.with_name(f".partial.{path.name}")
