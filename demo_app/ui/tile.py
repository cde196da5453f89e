"""A picture with its name beneath, to be touched."""

from __future__ import annotations

from collections.abc import Callable

from kivy.graphics.texture import Texture
from kivy.uix.behaviors import ButtonBehavior, FocusBehavior
from kivy.uix.boxlayout import BoxLayout
from kivy.uix.image import Image as Shown
from kivy.uix.widget import Widget

from demo_app.ui import style
from demo_app.ui.controls import Overlay
from demo_app.ui.style import gap
from demo_app.ui.widgets import Text, paint


class Tile(FocusBehavior, ButtonBehavior, BoxLayout):
    """The names keep all tiles of a row equally high. ratio: height to width of the picture's place."""

    def __init__(
        self, name: str, words: str, texture: Texture, ratio: float, action: Callable[[], object], **kwargs: object
    ) -> None:
        super().__init__(orientation="vertical", size_hint_y=None, padding=gap(0.5), spacing=gap(0.4), **kwargs)
        self.name, self._action, self._ratio = name, action, ratio
        paint(self, "card", "line")
        picture = Shown(texture=texture, fit_mode="contain", size_hint_y=None)
        picture.bind(width=self._keep_shape)
        label = Text(words, 13)
        ring = Overlay(self)
        self.bind(**dict.fromkeys(("pos", "size", "focus"), lambda me, _: ring.show(me.focus)))
        self.add_widget(picture)
        self.add_widget(label)
        self.add_widget(Widget())
        self._picture, self._words = picture, label
        picture.bind(height=self._fit)
        label.bind(height=self._fit)

    def _keep_shape(self, picture: Widget, width: float) -> None:
        picture.height = width * self._ratio

    def _fit(self, *_: object) -> None:
        words = max(self._words.height, 2 * style.text_size(13) * 1.3)
        self.height = self._picture.height + words + gap(1.4)

    def on_release(self) -> None:
        self._action()

    def keyboard_on_key_down(self, window: object, keycode: tuple[int, str], text: str, modifiers: list[str]) -> bool:
        if keycode[1] in ("enter", "numpadenter", "spacebar"):
            self._action()
            return True
        return bool(super().keyboard_on_key_down(window, keycode, text, modifiers))
