"""What the user chose, in one small JSON file, and a draft of the unfinished work for a phone that kills the app."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from edge_runtime.errors import UserError
from edge_runtime.files import replacing

THEMES = ("system", "light", "dark")
TEXT_SIZES = (0.85, 1.0, 1.2, 1.45)


@dataclass(frozen=True)
class Settings:
    """bundle: digest of the chosen bundle, "" for the first. key: PEM file of whose signature is required, or "".

    language: "" follows the system.
    """

    accepted: bool = False
    language: str = ""
    theme: str = "system"
    text_size: float = 1.0
    keep_history: bool = True
    bundle: str = ""
    key: str = ""

    def changed(self, **values: object) -> Settings:
        return replace(self, **values)  # type: ignore[arg-type]  # the names are this class's own


def load(path: Path) -> Settings:
    """The file's settings; what it lacks, or holds in another type, keeps its default."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Settings()
    default = Settings()
    if not isinstance(data, dict):
        return default
    kept = {
        f.name: data[f.name]
        for f in fields(Settings)
        if f.name in data and type(data[f.name]) is type(getattr(default, f.name))
    }
    settings = replace(default, **kept)
    if settings.theme not in THEMES:
        settings = replace(settings, theme=default.theme)
    return settings if settings.text_size in TEXT_SIZES else replace(settings, text_size=default.text_size)


def save(path: Path, settings: Settings) -> None:
    """Replace the file whole. Raises UserError."""
    write_whole(path, (json.dumps(asdict(settings), indent=2) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write aside and rename, readable by its owner only. Raises UserError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside, open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); is the storage full?") from None
