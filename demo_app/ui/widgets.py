"""The few widgets that every screen is put together from. All text wraps and all heights follow the text."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kivy.clock import Clock
from kivy.graphics import Color, InstructionGroup, SmoothLine, SmoothRoundedRectangle
from kivy.metrics import dp
from kivy.properties import NumericProperty
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.label import Label
from kivy.uix.modalview import ModalView
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget

from demo_app.fonts import letters
from demo_app.ui import lettering, style
from demo_app.ui.icons import Icon
from demo_app.ui.style import gap, text_size

RADIUS = 10
"""Of corners, in dp."""


def paint(widget: Widget, fill: str | None, border: str | None = None, radius: float = RADIUS) -> None:
    """A rounded rectangle behind a widget, in a role of the theme, that follows it."""
    group = InstructionGroup()
    if fill is not None:
        group.add(Color(*style.now.colour(fill)))
        box = SmoothRoundedRectangle(radius=[dp(radius)])
        group.add(box)
    if border is not None:
        group.add(Color(*style.now.colour(border)))
        line = SmoothLine(width=1)
        group.add(line)
    # First of all: the colour that Kivy's own text field sets for its words must stay the last one.
    widget.canvas.before.insert(0, group)

    me = widget.proxy_ref  # a cycle would leave the widget to the garbage collector, which stops the window

    def follow(*_: object) -> None:
        if fill is not None:
            box.pos, box.size = me.pos, me.size
        if border is not None:
            x, y = me.pos
            line.rounded_rectangle = (x + 0.5, y + 0.5, max(me.width - 1, 0), max(me.height - 1, 0), dp(radius))

    widget.bind(pos=follow, size=follow)
    follow()


class Text(Label):
    """Wraps at its width; as high as its lines. In any script that a font of the device has."""

    def __init__(self, text: str, size: float = 15, role: str = "text", **kwargs: object) -> None:
        kwargs.setdefault("halign", "left")
        super().__init__(
            text=text,
            font_size=text_size(size),
            color=style.now.colour(role),
            size_hint_y=None,
            line_height=1.15,
            **kwargs,
        )
        self.bind(width=self._wrap, texture_size=self._fit)

    def texture_update(self, *_: object) -> None:
        if not self.text.strip() or letters().plain(self.text):
            super().texture_update()
            return
        self.texture = lettering.texture_of(self)
        self.texture_size = list(self.texture.size)

    def _wrap(self, *_: object) -> None:
        self.text_size = (self.width, None)

    def _fit(self, *_: object) -> None:
        self.height = self.texture_size[1]


class Column(BoxLayout):
    """Things one below the other; as high as they are together."""

    def __init__(self, *children: Widget, space: float = 1.0, pad: float = 0.0, **kwargs: object) -> None:
        spacing, padding = gap(space), gap(pad)
        super().__init__(
            orientation="vertical", spacing=spacing, padding=padding, size_hint_y=None, height=2 * padding, **kwargs
        )
        self.bind(minimum_height=self.setter("height"))
        for child in children:
            self.add_widget(child)


class Row(BoxLayout):
    """Things side by side; as high as the highest."""

    def __init__(self, *children: Widget, space: float = 0.75, pad: float = 0.0, **kwargs: object) -> None:
        super().__init__(spacing=gap(space), padding=gap(pad), size_hint_y=None, **kwargs)
        self.bind(minimum_height=self.setter("height"))
        for child in children:
            self.add_widget(child)


class Card(Column):
    """A raised column."""

    def __init__(self, *children: Widget, space: float = 0.75, fill: str = "card", **kwargs: object) -> None:
        super().__init__(*children, space=space, pad=1.25, **kwargs)
        paint(self, fill, "line" if fill == "card" else None, 14)


class Scroll(ScrollView):
    """A column that scrolls, centred and at most `widest` dp wide."""

    def __init__(
        self, *children: Widget, space: float = 1.0, pad: float = 1.0, widest: float = 760, **kwargs: object
    ) -> None:
        super().__init__(
            do_scroll_x=False, bar_width=dp(4), bar_color=style.now.colour("muted", 0.7),
            scroll_type=["bars", "content"],
            bar_inactive_color=style.now.colour("muted", 0.25), scroll_distance=dp(12), **kwargs,
        )  # fmt: skip
        self.column = Column(*children, space=space)
        self.add_widget(self.column)
        centre(self.column, self, pad, widest)


def centre(column: Column, frame: Widget, pad: float = 1.0, widest: float = 760) -> None:
    """Keep a column in the middle of a wide frame, at most `widest` dp wide."""

    inner, outer = column.proxy_ref, frame.proxy_ref

    def follow(*_: object) -> None:
        side = max(gap(pad), (outer.width - dp(widest)) / 2)
        inner.padding = (side, gap(pad), side, gap(pad))

    frame.bind(width=follow)
    follow()


class Bar(Widget):
    """A share from 0 to 1."""

    value = NumericProperty(0.0)

    def __init__(self, value: float, strong: bool = True, thickness: float = 8, **kwargs: object) -> None:
        super().__init__(size_hint_y=None, height=dp(thickness), **kwargs)
        with self.canvas:
            Color(*style.now.colour("raised"))
            self._rail = SmoothRoundedRectangle(radius=[dp(thickness / 2)])
            Color(*style.now.colour("accent" if strong else "muted"))
            self._fill = SmoothRoundedRectangle(radius=[dp(thickness / 2)])
        self.bind(pos=self._draw, size=self._draw, value=self._draw)
        self.value = value

    def _draw(self, *_: object) -> None:
        self._rail.pos = self._fill.pos = self.pos
        self._rail.size = self.size
        # At least a dot: nothing at all would look like a mistake.
        self._fill.size = (max(self.height, self.width * self.value), self.height)


class Busy(Widget):
    """A thin bar that runs to and fro while something works whose end is not known."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(size_hint_y=None, height=dp(3), **kwargs)
        with self.canvas:
            Color(*style.now.colour("raised"))
            self._rail = SmoothRoundedRectangle(radius=[dp(1.5)])
            Color(*style.now.colour("accent"))
            self._fill = SmoothRoundedRectangle(radius=[dp(1.5)])
        self.bind(pos=self._draw, size=self._draw)
        Clock.schedule_interval(self._move, 1 / 30)

    def _move(self, _: float) -> bool:
        """Stops by itself with the screen that it was on: a clock that went on would keep that screen alive."""
        self._draw()
        return self.get_root_window() is not None

    def _draw(self, *_: object) -> None:
        place = 0.5 - 0.5 * math.cos(math.pi * Clock.get_boottime() / 0.9)
        self._rail.pos, self._rail.size = self.pos, self.size
        self._fill.pos = (self.x + 0.75 * self.width * place, self.y)
        self._fill.size = (self.width / 4, self.height)


class Space(Widget):
    """Nothing, so high."""

    def __init__(self, times: float = 1.0) -> None:
        super().__init__(size_hint_y=None, height=gap(times))


class Dialog(ModalView):
    """A question with a few answers. Esc and a touch outside close it unless `must` be answered."""

    def __init__(self, title: str, body: Iterable[Widget], buttons: Iterable[Widget], must: bool = False) -> None:
        super().__init__(
            size_hint=(None, None), auto_dismiss=not must, background="", background_color=(0, 0, 0, 0),
            overlay_color=(0, 0, 0, 0.55),
        )  # fmt: skip
        self.bind(parent=self._fit)
        foot = Column(*buttons, space=0.75)
        self._scroll = Scroll(Text(title, 20, bold=True), *body, Space(0.25), foot, pad=1.5)
        paint(self._scroll, "card", "line", 16)  # not the view itself: its veil would lie over it
        self.add_widget(self._scroll)
        self._scroll.column.bind(height=self._fit)
        from kivy.core.window import Window

        Window.bind(size=self._fit)
        self.bind(on_dismiss=lambda *_: Window.unbind(size=self._fit))
        self._fit()

    def _fit(self, *_: object) -> None:
        from kivy.core.window import Window

        self.width = min(Window.width - gap(2), dp(460))
        self.height = min(Window.height - gap(2), self._scroll.column.height)


def banner(text: str, *buttons: Widget, icon: str = "warn", name: str = "") -> Card:
    """A sentence in the colours of a warning, with what can be done about it."""
    mark = Icon(icon, style.now.colour("warn_text"), 20, pos_hint={"center_y": 0.5})
    words = Text(text, 14, "warn_text", pos_hint={"center_y": 0.5})
    card = Card(Row(mark, words), *buttons, fill="warn_back")
    card.name = name
    return card
