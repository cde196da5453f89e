"""Where a reading begins: a picture of one's own, or an example."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from kivy.graphics.texture import Texture
from kivy.uix.gridlayout import GridLayout
from kivy.uix.widget import Widget
from PIL import Image

from demo_app.paths import EXAMPLES
from demo_app.ui import phone, style
from demo_app.ui.browse import choose_picture
from demo_app.ui.controls import PushButton
from demo_app.ui.picture import for_screen, texture_of
from demo_app.ui.style import gap, t
from demo_app.ui.tile import Tile
from demo_app.ui.widgets import Bar, Busy, Card, Column, Row, Scroll, Text, banner
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    parts: list[Widget] = []
    if app.state.error:
        parts.append(banner(app.state.error, name="error"))
    parts += no_model(app)
    if app.state.opening:
        waiting = Column(Text(t("home.opening", name=app.state.opening)), Busy(), space=0.5)
        parts.append(Card(waiting, PushButton(t("cancel"), app.cancel_opening, "close", name="cancel")))
    else:
        parts.append(_choose(app))
        case = app.state.case
        title, why, go_on = (
            (case.title, "home.still", app.resume)
            if case is not None
            else (app.draft_title(), "home.draft", app.resume_draft)
        )
        if title is not None:
            resume = PushButton(t("home.resume", title=title), go_on, "pulse", "soft", "resume")
            parts.append(Card(Text(t(why), 14, "muted"), resume))
    parts.append(_examples(app))
    parts += loading_model(app)
    return t("home.title"), Scroll(*parts, space=1.25, widest=860)


def no_model(app: AppWindow) -> list[Widget]:
    """What is the matter and the fix, if there is no model."""
    model, fix = (
        app.state.model,
        PushButton(t("model.import"), lambda: app.go_place("models"), "model", name="to-models"),
    )
    if model.stage == "none":
        return [banner(t("model.none"), fix, name="no-model")]
    if model.stage == "failed":
        return [banner(model.error, fix, name="no-model")]
    return []


def loading_model(app: AppWindow) -> list[Widget]:
    """A line while a model is loaded; it stands below all else, so that no button moves under a finger when it goes."""
    return (
        [Column(Text(t("model.loading"), 13, "muted"), Busy(), space=0.5)] if app.state.model.stage == "loading" else []
    )


def _choose(app: AppWindow) -> Widget:
    first = PushButton(t("home.choose"), lambda: choose_picture(app), "image", "primary", "choose")
    others = [PushButton(t("home.paste"), app.paste, "paste", name="paste")]
    if phone.PHONE:
        others.insert(0, PushButton(t("home.camera"), lambda: _take_photo(app), "camera", name="camera"))
    hint = t("home.hint") if phone.PHONE else f"{t('home.hint')} {t('home.drop')}"
    return Card(Text(hint, 14, "muted"), first, Row(*others))


def _take_photo(app: AppWindow) -> None:
    def taken(path: Path) -> None:
        app.post(lambda: app.open_picture(path, t("home.camera")))

    try:
        phone.take_photo(app.data / "photo.jpg", taken)
    except UserError:
        app.fail(t("error.camera"))


def _examples(app: AppWindow) -> Widget:
    grid = GridLayout(cols=4 if style.now.wide else 2, spacing=gap(0.75), size_hint_y=None)
    grid.bind(minimum_height=grid.setter("height"))
    for path in sorted(EXAMPLES.glob("*.jpg")):
        words = t(f"example.{path.stem}")
        action = partial(app.open_picture, path, words)
        grid.add_widget(Tile(f"example.{path.stem}", words, _thumbnail(path), 680 / 964, action))
    head = Column(Text(t("home.examples"), 17, bold=True), Text(t("home.examples.from"), 13, "muted"), space=0.25)
    return Column(head, grid, space=0.75)


@cache
def _thumbnail(path: Path) -> Texture:
    """A JPEG decoded at half its size: 5 ms, and no coarser than a tile."""
    with Image.open(path) as picture:
        picture.draft("RGB", (400, 280))
        return texture_of(for_screen(picture, 420))


def progress(title: str, share: float, *below: Widget) -> Card:
    """A card with a bar, for work whose end is known."""
    return Card(Text(title), Bar(share, thickness=6), *below)
