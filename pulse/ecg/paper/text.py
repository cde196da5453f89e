"""Words on a page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """Words that begin at (x, y), the letters' foot, in millimetres from the page's top left. size_mm 0: the
    style's."""

    words: str
    x_mm: float
    y_mm: float
    size_mm: float = 0.0
