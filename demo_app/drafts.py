"""The picture that was opened but not answered yet, for the next start: phones end apps that wait in the background."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from demo_app.outline import WHOLE, Corners
from demo_app.settings import write_whole

_QUALITY = 92


class Draft:
    """Two files in `folder`: the picture, and its title and corners."""

    def __init__(self, folder: Path) -> None:
        self._picture, self._about = folder / "draft.jpg", folder / "draft.json"

    def title(self) -> str | None:
        """The draft's title, None when there is none."""
        about = self._read()
        return None if about is None else str(about.get("title", ""))

    def save(self, picture: Image.Image, title: str, corners: Corners) -> None:
        """Raises UserError when the storage is full."""
        write_whole(self._picture, jpeg(picture))
        self.move(title, corners)

    def move(self, title: str, corners: Corners) -> None:
        """Only the corners have changed."""
        write_whole(self._about, json.dumps({"title": title, "corners": corners}).encode())

    def load(self) -> tuple[Path, str, Corners] | None:
        """Picture file, title and corners."""
        about = self._read()
        if about is None:
            return None
        try:
            placed = tuple((float(x), float(y)) for x, y in about.get("corners", ()))
        except (TypeError, ValueError):
            placed = WHOLE
        return self._picture, str(about.get("title", "")), placed if len(placed) == 4 else WHOLE

    def clear(self) -> None:
        for path in (self._about, self._picture):
            path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            about = json.loads(self._about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return about if isinstance(about, dict) and self._picture.is_file() else None


def jpeg(picture: Image.Image) -> bytes:
    """The picture as JPEG bytes."""
    file = BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
