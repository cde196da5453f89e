"""What surrounds every screen: the notice, the title with the way back, and the four places to go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kivy.metrics import dp
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from demo_app.ui import style
from demo_app.ui.controls import PushButton
from demo_app.ui.lettering import width_of
from demo_app.ui.style import gap, t
from demo_app.ui.widgets import Text, paint

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow

PLACES = (("home", "pulse"), ("history", "history"), ("models", "model"), ("settings", "settings"))
# Which place a screen belongs to.
_OF = {"pages": "home", "crop": "home", "result": "home", "entry": "history", "bench": "models"}


class Layout(BoxLayout):
    """A rail at the side of a wide window, a bar at the foot of a narrow one."""

    def __init__(self, app: AppWindow, title: str, body: Widget, back: bool, *tools: Widget) -> None:
        super().__init__(orientation="vertical")
        self.add_widget(_notice())
        middle = BoxLayout(orientation="vertical")
        middle.add_widget(_head(app, title, back, tools))
        middle.add_widget(body)
        screen = app.state.back[-1] if app.state.screen == "browse" and app.state.back else app.state.screen
        here = _OF.get(screen, screen)
        if style.now.wide:
            across = BoxLayout()
            across.add_widget(_places(app, here, upright=True))
            across.add_widget(middle)
            self.add_widget(across)
        else:
            self.add_widget(middle)
            self.add_widget(_places(app, here, upright=False))


def _notice() -> Widget:
    strip = BoxLayout(size_hint_y=None, padding=(gap(0.5), gap(0.3)))
    text = Text(t("notice.short"), 12, "warn_text", halign="center", bold=True)
    text.bind(height=lambda *_: setattr(strip, "height", text.height + 2 * gap(0.3)))
    strip.add_widget(text)
    strip.name = "notice"
    paint(strip, "warn_back", radius=0)
    return strip


def _head(app: AppWindow, title: str, back: bool, tools: tuple[Widget, ...]) -> Widget:
    head = BoxLayout(size_hint_y=None, height=dp(60), padding=(gap(0.5), gap(0.5)), spacing=gap(0.5))
    if back:
        head.add_widget(PushButton("", app.go_back, "back", "bare", name="back", says=t("back")))
    head.add_widget(_Title(title))
    for tool in tools:
        head.add_widget(tool)
    return head


class _Title(Text):
    """On one line; a long one in smaller letters on two, and cut where even these are full."""

    def __init__(self, title: str) -> None:
        super().__init__(title, 20, bold=True, pos_hint={"center_y": 0.5}, padding=(gap(0.5), 0), max_lines=2)
        self._whole, self._needs = title or " ", width_of(self)

    def _wrap(self, *_: object) -> None:
        room = max(self.width - gap(1), 1)
        fits = self._needs <= room
        self.font_size = style.text_size(20 if fits else 15)
        # Two lines of letters of the usual width, less what is lost where the first one ends.
        letters = max(8, int(1.7 * room / (0.75 * self._needs / len(self._whole))))
        self.text = self._whole if fits or len(self._whole) <= letters else self._whole[: letters - 1] + "…"
        super()._wrap()


def _places(app: AppWindow, here: str, upright: bool) -> Widget:
    box = BoxLayout(orientation="vertical" if upright else "horizontal", spacing=gap(0.25), padding=gap(0.5))
    paint(box, "card", radius=0)
    buttons = []
    for place, icon in PLACES:
        kind = "soft" if place == here else "bare"
        buttons.append(
            PushButton(t(f"nav.{place}"), partial(app.go_place, place), icon, kind, f"nav.{place}", stacked=True)
        )
    for button in buttons:
        box.add_widget(button)
    if upright:
        box.size_hint_x, box.width = None, max(dp(96), style.text_size(12) * 7.5)
        box.add_widget(Widget())
    else:
        box.size_hint_y = None

        def fit(*_: object) -> None:
            box.height = max(b.height for b in buttons) + gap(1)

        for button in buttons:
            button.bind(height=fit)
        fit()
    return box
