"""The pages of a PDF, TIFF or DICOM file, small: the one that is the ECG is chosen by touch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kivy.uix.gridlayout import GridLayout
from kivy.uix.widget import Widget

from demo_app.ui import style
from demo_app.ui.controls import PushButton
from demo_app.ui.picture import texture_of
from demo_app.ui.style import gap, t
from demo_app.ui.tile import Tile
from demo_app.ui.widgets import Busy, Scroll, Text, banner

if TYPE_CHECKING:
    from demo_app.state import Pages
    from demo_app.ui.window import AppWindow


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    assert app.state.pages is not None
    return app.state.pages.title, PageTiles(app, app.state.pages)


class PageTiles(Scroll):
    """A tile for each page that is drawn already; refresh() adds those that came since."""

    def __init__(self, app: AppWindow, pages: Pages) -> None:
        self._grid = GridLayout(cols=4 if style.now.wide else 2, spacing=gap(0.75), size_hint_y=None)
        self._grid.bind(minimum_height=self._grid.setter("height"))
        error = [banner(app.state.error, name="error")] if app.state.error else []
        hint = Text(t("pages.hint", count=pages.count), 14, "muted")
        super().__init__(*error, hint, self._grid, space=1, widest=860)
        self._app, self._pages, self._foot = app, pages, "none"
        self.refresh()

    def refresh(self) -> None:
        pages = self._pages
        for number in range(len(self._grid.children) + 1, len(pages.small) + 1):
            picture, choose = pages.small[number - 1], partial(self._app.choose_page, number)
            words = t("pages.page", page=number)
            if picture is None:
                self._grid.add_widget(PushButton(f"{words}: {t('pages.unreadable')}", choose, name=f"page.{number}"))
            else:
                ratio = picture.height / picture.width
                self._grid.add_widget(Tile(f"page.{number}", words, texture_of(picture), ratio, choose))
        foot = "busy" if pages.drawing else "more" if len(pages.small) < pages.count else "none"
        if foot != self._foot:
            self._end(foot)

    def _end(self, foot: str) -> None:
        """At the foot: that more are coming, or how to have them."""
        if self._foot != "none":
            self.column.remove_widget(self.column.children[0])
        if foot != "none":
            more = PushButton(t("history.more"), self._app.more_pages, "add", name="more")
            self.column.add_widget(Busy() if foot == "busy" else more)
        self._foot = foot
