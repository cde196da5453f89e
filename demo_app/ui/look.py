"""How the app looks now: colours, text sizes and language, in one value that every widget reads while it is built.

When the theme, the language, the text size or the shape of the window changes, the widgets are built anew from the
app's state; so no widget has to know how to change its looks.
"""

from __future__ import annotations

from dataclasses import dataclass

from kivy.metrics import dp, sp
from kivy.utils import get_color_from_hex as rgb

from demo_app.strings import translate

Colour = list[float]


@dataclass(frozen=True)
class Theme:
    """One accent; text on back and card has a contrast of at least 4.5:1 (WCAG 2.1, tests/demo_app/test_strings.py)."""

    name: str
    back: str
    card: str
    raised: str
    text: str
    muted: str
    line: str
    accent: str
    on_accent: str
    accent_soft: str
    danger: str
    warn_back: str
    warn_text: str


LIGHT = Theme(
    "light", "#F3F5F8", "#FFFFFF", "#E9EDF2", "#15202B", "#566473", "#D5DCE4", "#0A6C8F", "#FFFFFF", "#D9EEF5",
    "#B3261E", "#FFF1D6", "#6A4300",
)  # fmt: skip
DARK = Theme(
    "dark", "#0E141A", "#18212A", "#232F3A", "#E7EDF3", "#9FADBB", "#2F3C48", "#56BEE6", "#04222F", "#173846",
    "#FF8A80", "#3A2D12", "#FFD591",
)  # fmt: skip
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True)
class Look:
    """theme, language ("en", "de"), scale of the text (on top of the system's), and the window's shape."""

    theme: Theme = LIGHT
    language: str = "en"
    scale: float = 1.0
    wide: bool = False

    def colour(self, role: str, alpha: float = 1.0) -> Colour:
        """RGBA of a role in the theme."""
        red, green, blue, _ = rgb(getattr(self.theme, role))
        return [red, green, blue, alpha]


now = Look()


def use(look: Look) -> None:
    """Everything that is built from here on looks like this."""
    global now
    now = look


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


def gap(times: float = 1.0) -> float:
    return float(dp(GAP * times))
