"""What is pressed and typed into: large enough for a finger, and just as well worked by keys."""

from __future__ import annotations

from collections.abc import Callable

from kivy.core.text import DEFAULT_FONT
from kivy.graphics import Color, InstructionGroup, SmoothLine, SmoothRoundedRectangle
from kivy.metrics import dp
from kivy.uix.behaviors import ButtonBehavior, FocusBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.textinput import TextInput
from kivy.uix.widget import Widget

from demo_app.fonts import letters
from demo_app.ui import style
from demo_app.ui.icons import Icon
from demo_app.ui.lettering import width_of
from demo_app.ui.style import TOUCH, gap, text_size
from demo_app.ui.widgets import RADIUS, Text, paint

_KINDS = {  # fill, text, border
    "primary": ("accent", "on_accent", None),
    "plain": ("card", "text", "line"),
    "soft": ("accent_soft", "accent", None),
    "danger": ("card", "danger", "line"),
    "bare": (None, "text", None),
}


class Overlay:
    """A ring around a widget, or a veil over it; on the canvas only while it is seen.

    Where there is no graphics card a frame pays for what is transparent as much as for the rest.
    """

    def __init__(self, widget: Widget, veil: bool = False) -> None:
        self._widget, self._group, self._seen = widget.proxy_ref, InstructionGroup(), False
        self._shape = SmoothRoundedRectangle(radius=[dp(RADIUS)]) if veil else SmoothLine(width=dp(1.5))
        self._group.add(Color(*(style.now.colour("text", 0.12) if veil else style.now.colour("accent"))))
        self._group.add(self._shape)

    def show(self, seen: bool) -> None:
        """Seen or not, where the widget is now."""
        me = self._widget
        if seen and isinstance(self._shape, SmoothLine):
            box = (me.x + 1, me.y + 1, max(me.width - 2, 0), max(me.height - 2, 0))
            self._shape.rounded_rectangle = (*box, dp(RADIUS))
        elif seen:
            self._shape.pos, self._shape.size = me.pos, me.size
        if seen != self._seen:
            self._seen = seen
            (me.canvas.after.add if seen else me.canvas.after.remove)(self._group)


class PushButton(FocusBehavior, ButtonBehavior, BoxLayout):
    """Icon, text or both; by touch, mouse, or Enter and Space while it has the focus."""

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
        self._veil, self._ring = Overlay(self, veil=True), Overlay(self)
        self.icon = Icon(icon, style.now.colour(role), 22) if icon else None
        self.label = Text(text, 12 if stacked else 15, role, halign="center", bold=kind == "primary") if text else None
        if self.icon is not None:
            self.icon.pos_hint = {"center_x": 0.5} if stacked or not text else {"center_y": 0.5}
            self.icon.pos_hint.setdefault("center_y", 0.5)
        self._words = width_of(self.label) if self.label is not None and not stacked else 0.0
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
            self._centre_icon()
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

    def _fit(self, *_: object) -> None:
        inner = self.label.height if self.label is not None else 0.0
        if self.orientation == "vertical" and self.icon is not None:
            inner += self.icon.height + self.spacing
        self.height = max(dp(TOUCH), inner + 2 * gap(0.5))

    def _show(self, *_: object) -> None:
        self._ring.show(self.focus and not self.disabled)
        self._veil.show(self.state == "down")
        self.opacity = 0.45 if self.disabled else 1.0

    def on_release(self) -> None:
        self._action()

    def keyboard_on_key_down(self, window: object, keycode: tuple[int, str], text: str, modifiers: list[str]) -> bool:
        if keycode[1] in ("enter", "numpadenter", "spacebar"):
            if not self.disabled:
                self._action()
            return True
        return bool(super().keyboard_on_key_down(window, keycode, text, modifiers))


class Field(TextInput):
    """One line of text; submit() on Enter."""

    def __init__(self, hint: str, submit: Callable[[str], object], name: str = "", **kwargs: object) -> None:
        size = text_size(16)
        height = max(dp(TOUCH), 2.1 * size)
        super().__init__(
            hint_text=hint, multiline=False, font_size=size, size_hint_y=None, height=height, write_tab=False,
            padding=(gap(1), (height - 1.35 * size) / 2), background_normal="", background_active="",
            background_color=(0, 0, 0, 0), foreground_color=style.now.colour("text"),
            cursor_color=style.now.colour("accent"),
            hint_text_color=style.now.colour("muted"), selection_color=style.now.colour("accent", 0.3), **kwargs,
        )  # fmt: skip
        self.name = name
        paint(self, "raised", "line")
        self._ring = Overlay(self)
        self.bind(focus=self._show, pos=self._show, size=self._show, text=self._letter)
        self._letter()
        self.bind(on_text_validate=lambda *_: submit(self.text))

    def _letter(self, *_: object) -> None:
        """A text field has one font: the first that has what the app's own lacks."""
        font = None if letters().plain(self.text) else letters().font_of(self.text)
        self.font_name = DEFAULT_FONT if font is None else str(font)

    def _show(self, *_: object) -> None:
        self._ring.show(self.focus)
