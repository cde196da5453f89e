"""Files to choose from, in large rows: the same on every desktop, by touch, mouse and keyboard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from demo_app.ui.kit import PushButton, Scroll, Text
from demo_app.ui.look import t

if TYPE_CHECKING:
    from demo_app.app import PulseDemo

ENDINGS = {
    "picture": (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pdf"),
    "zip": (".zip",),
    "key": (".pem", ".pub"),
    "folder": (),
}
_MOST = 400


def build(app: PulseDemo) -> tuple[str, Widget]:
    """Title and body: the folder above, folders, then files of the wanted kind."""
    kind, here = app.state.picking, Path(app.state.folder)
    parts: list[Widget] = [Text(str(here), 13, "muted")]
    if here.parent != here:
        parts.append(_row(t("browse.up"), lambda: app.browse_to(here.parent), "up", "up"))
    folders, files = listing(here, ENDINGS[kind])
    if folders is None:
        parts.append(Text(t("browse.denied"), 15, "danger"))
    elif kind == "folder" and (here / "manifest.json").is_file():
        parts.insert(1, PushButton(t("browse.this"), lambda: app.picked(here), "check", "primary", "this"))
    for path in (folders or [])[:_MOST]:
        parts.append(_row(path.name, lambda p=path: app.browse_to(p), "folder", f"folder.{path.name}"))
    for path in files[:_MOST]:
        parts.append(
            _row(path.name, lambda p=path: app.picked(p), "image" if kind == "picture" else "file", f"file.{path.name}")
        )
    if not folders and not files:
        parts.append(Text(t("browse.empty"), 15, "muted"))
    return t(f"browse.{kind}"), Scroll(*parts, space=0.5)


def listing(folder: Path, endings: tuple[str, ...]) -> tuple[list[Path] | None, list[Path]]:
    """Folders and fitting files by name, hidden ones left out; None for the folders where they cannot be read."""
    try:
        with os.scandir(folder) as entries:
            seen = [(Path(e.path), e.is_dir()) for e in entries if not e.name.startswith(".")]
    except OSError:
        return None, []
    seen.sort(key=lambda item: item[0].name.casefold())
    return [p for p, is_dir in seen if is_dir], [p for p, is_dir in seen if not is_dir and p.suffix.lower() in endings]


def _row(text: str, action, icon: str, name: str) -> PushButton:  # type: ignore[no-untyped-def]
    row = PushButton(text, action, icon, "plain", name)
    assert row.label is not None
    row.label.halign = "left"
    return row
