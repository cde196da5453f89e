"""The few widgets that every screen is put together from. All text wraps and all heights follow the text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from kivy.clock import Clock
from kivy.core.text import Label as CoreLabel
from kivy.graphics import Color, InstructionGroup, SmoothLine, SmoothRoundedRectangle
from kivy.metrics import dp
from kivy.properties import BooleanProperty, NumericProperty
from kivy.uix.behaviors import ButtonBehavior, FocusBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.label import Label
from kivy.uix.modalview import ModalView
from kivy.uix.scrollview import ScrollView
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget

from demo_app.ui import look
from demo_app.ui.icons import Icon
from demo_app.ui.look import TOUCH, gap, text_size

_KINDS = {  # fill, text, border
    "primary": ("accent", "on_accent", None),
    "plain": ("card", "text", "line"),
    "soft": ("accent_soft", "accent", None),
    "danger": ("card", "danger", "line"),
    "bare": (None, "text", None),
}
_RADIUS = 10


def paint(widget: Widget, fill: str | None, border: str | None = None, radius: float = _RADIUS) -> None:
    """A rounded rectangle behind a widget, in a role of the theme, that follows it."""
    group = InstructionGroup()
    if fill is not None:
        group.add(Color(*look.now.colour(fill)))
        box = SmoothRoundedRectangle(radius=[dp(radius)])
        group.add(box)
    if border is not None:
        group.add(Color(*look.now.colour(border)))
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
    """Wraps at its width; as high as its lines."""

    def __init__(self, text: str, size: float = 15, role: str = "text", **kwargs: object) -> None:
        kwargs.setdefault("halign", "left")
        super().__init__(
            text=text,
            font_size=text_size(size),
            color=look.now.colour(role),
            size_hint_y=None,
            line_height=1.15,
            **kwargs,
        )
        self.bind(width=self._wrap, texture_size=self._fit)

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


class PushButton(FocusBehavior, ButtonBehavior, BoxLayout):
    """Icon, text or both; by touch, mouse, or Enter and Space while it has the focus."""

    chosen = BooleanProperty(False)

    def __init__(
        self,
        text: str,
        action: Callable[[], object],
        icon: str = "",
        kind: str = "plain",
        name: str = "",
        stacked: bool = False,
        says: str = "",
        **kwargs: object,
    ) -> None:
        fill, role, border = _KINDS[kind]
        super().__init__(
            orientation="vertical" if stacked else "horizontal",
            padding=(gap(0.25), gap(0.5)) if stacked else (gap(1), gap(0.5)) if text else gap(0.5),
            spacing=gap(0.25 if stacked else 0.6),
            size_hint_y=None,
            **kwargs,
        )
        self.name, self.says, self._action = name, says or text, action
        paint(self, fill, border)
        self._veil, self._ring = self._marks()
        self.icon = Icon(icon, look.now.colour(role), 22) if icon else None
        self.label = Text(text, 12 if stacked else 15, role, halign="center", bold=kind == "primary") if text else None
        if self.icon is not None:
            self.icon.pos_hint = {"center_x": 0.5} if stacked or not text else {"center_y": 0.5}
            self.icon.pos_hint.setdefault("center_y", 0.5)
        self._words = _width_of(self.label) if self.label is not None and not stacked else 0.0
        self._arrange(stacked, text)
        for part in ("pos", "size", "state", "focus", "disabled"):
            self.bind(**{part: self._show})
        self._fit()

    def _arrange(self, stacked: bool, text: str) -> None:
        if self.label is not None:
            self.label.bind(height=self._fit)
            if not stacked:
                self.bind(width=self._centre)
            self.label.pos_hint = {"center_y": 0.5}
        parts = [part for part in (self.icon, self.label) if part is not None]
        if not text:
            # An icon alone stands in the middle whatever the button's size.
            self.size_hint_x = None
            self.width = dp(TOUCH)
            self.bind(width=self._centre_icon)
        for part in parts:
            self.add_widget(part)

    def _centre(self, *_: object) -> None:
        """Icon and words stand together in the middle, as long as there is room to spare."""
        assert self.label is not None
        used = self._words + (self.icon.width + self.spacing if self.icon is not None else 0.0)
        side = max(gap(0.75), (self.width - used) / 2) if self.label.halign == "center" else gap(1)
        self.padding = (side, gap(0.5))

    def _centre_icon(self, *_: object) -> None:
        assert self.icon is not None
        self.padding = (max(0.0, (self.width - self.icon.width) / 2), gap(0.5))

    def _marks(self) -> tuple[tuple[Color, SmoothRoundedRectangle], tuple[Color, SmoothLine]]:
        with self.canvas.after:
            veil = Color(*look.now.colour("text", 0)), SmoothRoundedRectangle(radius=[dp(_RADIUS)])
            ring = Color(*look.now.colour("accent", 0)), SmoothLine(width=dp(1.5))
        return veil, ring

    def _fit(self, *_: object) -> None:
        inner = self.label.height if self.label is not None else 0.0
        if self.orientation == "vertical" and self.icon is not None:
            inner += self.icon.height + self.spacing
        self.height = max(dp(TOUCH), inner + 2 * gap(0.5))

    def _show(self, *_: object) -> None:
        (veil, box), (ring, line) = self._veil, self._ring
        box.pos, box.size = self.pos, self.size
        line.rounded_rectangle = (self.x + 1, self.y + 1, max(self.width - 2, 0), max(self.height - 2, 0), dp(_RADIUS))
        veil.a = 0.12 if self.state == "down" else 0.0
        ring.a = 1.0 if self.focus and not self.disabled else 0.0
        self.opacity = 0.45 if self.disabled else 1.0

    def on_release(self) -> None:
        self._action()

    def keyboard_on_key_down(self, window: object, keycode: tuple[int, str], text: str, modifiers: list[str]) -> bool:
        if keycode[1] in ("enter", "numpadenter", "spacebar"):
            if not self.disabled:
                self._action()
            return True
        return bool(super().keyboard_on_key_down(window, keycode, text, modifiers))


def _width_of(label: Label) -> float:
    """Pixels that the text takes on one line."""
    core = CoreLabel(font_size=label.font_size, bold=label.bold)
    return float(core.get_extents(label.text)[0]) + 2


class Field(TextInput):
    """One line of text; submit() on Enter."""

    def __init__(self, hint: str, submit: Callable[[str], object], name: str = "", **kwargs: object) -> None:
        size = text_size(16)
        height = max(dp(TOUCH), 2.1 * size)
        super().__init__(
            hint_text=hint, multiline=False, font_size=size, size_hint_y=None, height=height, write_tab=False,
            padding=(gap(1), (height - 1.35 * size) / 2), background_normal="", background_active="",
            background_color=(0, 0, 0, 0), foreground_color=look.now.colour("text"),
            cursor_color=look.now.colour("accent"),
            hint_text_color=look.now.colour("muted"), selection_color=look.now.colour("accent", 0.3), **kwargs,
        )  # fmt: skip
        self.name = name
        paint(self, "raised", "line")
        with self.canvas.after:
            self._ring = Color(*look.now.colour("accent", 0))
            self._line = SmoothLine(width=dp(1.2))
        self.bind(focus=self._show, pos=self._show, size=self._show)
        self.bind(on_text_validate=lambda *_: submit(self.text))

    def _show(self, *_: object) -> None:
        self._ring.a = 1.0 if self.focus else 0.0
        self._line.rounded_rectangle = (self.x, self.y, self.width, self.height, dp(_RADIUS))


class Scroll(ScrollView):
    """A column that scrolls, centred and at most `widest` dp wide."""

    def __init__(
        self, *children: Widget, space: float = 1.0, pad: float = 1.0, widest: float = 760, **kwargs: object
    ) -> None:
        super().__init__(
            do_scroll_x=False, bar_width=dp(4), bar_color=look.now.colour("muted", 0.7),
            scroll_type=["bars", "content"],
            bar_inactive_color=look.now.colour("muted", 0.25), scroll_distance=dp(12), **kwargs,
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
            Color(*look.now.colour("raised"))
            self._rail = SmoothRoundedRectangle(radius=[dp(thickness / 2)])
            Color(*look.now.colour("accent" if strong else "muted"))
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
            Color(*look.now.colour("raised"))
            self._rail = SmoothRoundedRectangle(radius=[dp(1.5)])
            Color(*look.now.colour("accent"))
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

    def __init__(self, title: str, body: Iterable[Widget], buttons: Iterable[PushButton], must: bool = False) -> None:
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


def banner(text: str, *buttons: PushButton, icon: str = "warn", name: str = "") -> Card:
    """A sentence in the colours of a warning, with what can be done about it."""
    mark = Icon(icon, look.now.colour("warn_text"), 20, pos_hint={"center_y": 0.5})
    words = Text(text, 14, "warn_text", pos_hint={"center_y": 0.5})
    card = Card(Row(mark, words), *buttons, fill="warn_back")
    card.name = name
    return card
