"""A file is chosen: with a phone's own chooser, elsewhere on a screen of large rows, the same on every desktop."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kivy.uix.widget import Widget

from demo_app.ui import phone
from demo_app.ui.controls import PushButton
from demo_app.ui.style import t
from demo_app.ui.widgets import Scroll, Text
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow

ENDINGS = {
    "picture": (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pdf"),
    "zip": (".zip",),
    "key": (".pem", ".pub"),
    "folder": (),
}
_MOST = 400


def choose_picture(app: AppWindow) -> None:
    _choose(app, "picture", lambda path: app.open_picture(path, path.stem))


def choose_bundle(app: AppWindow, kind: str) -> None:
    """kind: "zip" or "folder"."""

    def picked(path: Path) -> None:
        app.enter("models")
        app.add_bundle(path)

    _choose(app, kind, picked)


def choose_key(app: AppWindow) -> None:
    def picked(path: Path) -> None:
        app.enter("settings")
        app.set_key(str(path))

    _choose(app, "key", picked)


def _choose(app: AppWindow, kind: str, done: Callable[[Path], object]) -> None:
    if phone.has_chooser(kind):
        try:
            phone.choose_file(lambda path: app.post(lambda: done(path)))
        except UserError as error:
            app.fail(str(error))
        return
    app.state.on_pick, app.state.picking = done, kind
    app.state.folder = app.state.folder or str(phone.files())
    app.go("browse")


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body: the folder above, folders, then files of the wanted kind."""
    kind, here = app.state.picking, Path(app.state.folder)
    parts: list[Widget] = [Text(str(here), 13, "muted")]
    if here.parent != here:
        parts.append(_row(t("browse.up"), lambda: _enter(app, here.parent), "up", "up"))
    folders, files = listing(here, ENDINGS[kind])
    if folders is None:
        parts.append(Text(t("browse.denied"), 15, "danger"))
    elif kind == "folder" and (here / "manifest.json").is_file():
        parts.insert(1, PushButton(t("browse.this"), lambda: _pick(app, here), "check", "primary", "this"))
    for path in (folders or [])[:_MOST]:
        parts.append(_row(path.name, lambda p=path: _enter(app, p), "folder", f"folder.{path.name}"))
    for path in files[:_MOST]:
        parts.append(
            _row(path.name, lambda p=path: _pick(app, p), "image" if kind == "picture" else "file", f"file.{path.name}")
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


def _enter(app: AppWindow, folder: Path) -> None:
    app.state.folder = str(folder)
    app.body = None  # another folder is read from its top
    app.show()


def _pick(app: AppWindow, path: Path) -> None:
    if app.state.back:
        app.state.back.pop()
    assert app.state.on_pick is not None
    app.state.on_pick(path)


def _row(text: str, action, icon: str, name: str) -> PushButton:  # type: ignore[no-untyped-def]
    row = PushButton(text, action, icon, "plain", name)
    assert row.label is not None
    row.label.halign = "left"
    return row
