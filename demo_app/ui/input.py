"""Fingers, keys and dropped files of the window, as far as they are not one widget's alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kivy.core.window import Window
from kivy.input import MotionEvent
from kivy.uix.textinput import TextInput

from demo_app.ui.result import ResultBody
from demo_app.ui.tree import focus_first, focused

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow

_ESCAPE, _TAB = 27, 9


class Input:
    """Listens to the window on the app's behalf."""

    def __init__(self, app: AppWindow) -> None:
        self._app = app
        self._touches: set[int] = set()
        Window.bind(on_keyboard=self._key_down, on_drop_file=self._dropped)
        Window.bind(on_touch_down=self._touched, on_touch_up=self._lifted)

    @property
    def touching(self) -> bool:
        """A finger or a button of the mouse is down: what lies under it must stay where it is."""
        return bool(self._touches)

    def forget(self) -> None:
        """The fingers were lifted while the window was not looking."""
        self._touches.clear()

    def _touched(self, _: object, touch: MotionEvent) -> None:
        self._touches.add(touch.uid)

    def _lifted(self, _: object, touch: MotionEvent) -> None:
        """Called before the widgets hear of it: what a button does may show another screen at once."""
        self._touches.discard(touch.uid)
        if not self._touches:
            self._app.untouched()

    def _key_down(self, _: object, key: int, __: int, ___: str, modifiers: list[str]) -> bool:
        app = self._app
        if key == _ESCAPE:
            if app.dialog is not None:
                if app.dialog.auto_dismiss:
                    app.dialog.dismiss()
                return True
            if not app.go_back():
                app.leave()
            return True
        if key == _TAB and focused() is None:  # Tab leads on from what has the focus; somebody must have it first
            return focus_first(app.dialog or app.root)
        if key == ord("v") and "ctrl" in modifiers and app.state.screen == "home" and app.dialog is None:
            app.paste()
            return True
        if isinstance(app.body, ResultBody) and not isinstance(focused(), TextInput):
            return _zoom(app.body, key)
        return False

    def _dropped(self, _: object, name: bytes, *__: object) -> None:
        app, path = self._app, Path(os.fsdecode(name))
        if app.dialog is not None:
            return
        if path.is_dir() or path.suffix.lower() == ".zip":
            app.go_place("models")
            app.add_bundle(path)
        else:
            app.open_picture(path, path.stem)


def _zoom(body: ResultBody, key: int) -> bool:
    """+, - and 0."""
    if key == ord("0"):
        body.page.fit()
    elif key in (ord("+"), ord("="), ord("-")):
        body.page.zoom_by(1 / 1.25 if key == ord("-") else 1.25)
    else:
        return False
    return True
