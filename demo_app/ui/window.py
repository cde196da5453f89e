"""What a screen may ask of the app: its actions, and the window around it. The screens know this class, not the app."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from kivy.uix.modalview import ModalView
from kivy.uix.widget import Widget
from PIL import Image

from demo_app.actions import Actions


class AppWindow(Actions, ABC):
    """The actions with a window. root: holds everything. body: the screen's own part. dialog: the open one, if any."""

    root: Widget
    body: Widget | None
    dialog: ModalView | None

    @property
    @abstractmethod
    def body_width(self) -> float:
        """Pixels that a screen has across."""

    @property
    @abstractmethod
    def body_height(self) -> float:
        """Pixels that a screen has between title and foot, about."""

    @abstractmethod
    def display(self, picture: Image.Image) -> Image.Image:
        """The picture at a size for the screen, made once."""

    @abstractmethod
    def open_dialog(self, dialog: ModalView) -> None:
        """Show it; one at a time."""

    @abstractmethod
    def post(self, deliver: Callable[[], object]) -> None:
        """Call it on the window's thread; any thread may ask."""

    @abstractmethod
    def untouched(self) -> None:
        """The last finger was lifted."""

    @abstractmethod
    def leave(self) -> None:
        """Close the window, and so the app."""
