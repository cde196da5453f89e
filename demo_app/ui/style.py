"""How the app looks now: colours, text sizes and language, in one value that every widget reads while it is built.

When the theme, the language, the text size or the shape of the window changes, the widgets are built anew from the
app's state; so no widget has to know how to change its style.
"""

from __future__ import annotations

from dataclasses import dataclass

from kivy.metrics import dp, sp
from kivy.utils import get_color_from_hex as rgb

from demo_app.strings import translate
from demo_app.themes import LIGHT, Theme

Colour = list[float]


@dataclass(frozen=True)
class Style:
    """theme, language (its code), scale of the text (on top of the system's), and the window's shape."""

    theme: Theme = LIGHT
    language: str = "en"
    scale: float = 1.0
    wide: bool = False

    def colour(self, role: str, alpha: float = 1.0) -> Colour:
        """RGBA of a role in the theme."""
        red, green, blue, _ = rgb(getattr(self.theme, role))
        return [red, green, blue, alpha]


now = Style()


def use(style: Style) -> None:
    """Everything that is built from here on looks like this."""
    global now
    now = style


def t(key: str, **values: object) -> str:
    """The text for `key` in the present language."""
    return translate(now.language, key, **values)


def text_size(size: float) -> float:
    """Pixels of a text of `size` points: the screen's density, the system's font scale, and the user's choice."""
    return float(sp(size) * now.scale)


GAP = 12
"""The one distance between things, in dp; half of it within groups, twice between them."""
TOUCH = 48
"""The least height of anything that is touched, in dp."""


def crowded() -> bool:
    """Whether words beside figures would have to be broken: a narrow window and large letters."""
    return not now.wide and text_size(1) > dp(1.15)


def gap(times: float = 1.0) -> float:
    return float(dp(GAP * times))
