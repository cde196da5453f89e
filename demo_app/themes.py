"""The colours: one accent, and enough contrast to be read in a ward at night and at a window by day."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours by role. Text has a contrast of at least 4.5:1 to what it stands on (WCAG 2.1, tests/demo_app)."""

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
