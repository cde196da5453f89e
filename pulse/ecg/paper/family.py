"""What a family of pages is: how one kind of machine, and the one who runs it, prints a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pulse.ecg.paper.text import Text

Range = tuple[float, float]
USUAL = (25.0, 10.0)  # mm/s and mm/mV


@dataclass(frozen=True)
class Setting:
    """What a page of a family has been drawn as, for its texts: width, height and the free top and bottom in mm, where
    the traces begin from the left, and the speed and gain that a page says."""

    width_mm: float
    height_mm: float
    top_mm: float
    bottom_mm: float
    left_mm: float
    mm_per_s: float
    mm_per_mv: float

    @property
    def says(self) -> str:
        """Speed and gain as recorders print them."""
        return f"{self.mm_per_s:.0f} mm/s   {self.mm_per_mv:.0f} mm/mV"


def no_texts(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    """Of a page without a word on it but the leads' names."""
    return ()


@dataclass(frozen=True)
class Family:
    """Ranges of what its pages may be; a varied page draws one of each.

    share: how often a varied page is one of these; those of all families add up to 1. layouts, styles, names,
    calibration, scales: choices and how often each is taken; styles are names of render.STYLES, scales (mm/s, mm/mV).
    aspect: width over height. top, bottom: shares of the height free of traces. bare: chance that the free top has no
    grid. fade: how far grid colours fade to the paper's. major_only: chance that only the lines every 5 mm are printed.
    texts: what stands there besides the leads' names, which must never tell the diagnosis.
    """

    share: float
    layouts: Mapping[str, float]
    styles: Mapping[str, float]
    width_mm: Range = (266, 292)
    aspect: Range = (1.28, 1.55)
    top: Range = (0, 0)
    bottom: Range = (0, 0)
    bare: float = 0.0
    margin_mm: Range = (2, 9)
    trace_mm: Range = (0.2, 0.7)
    text_mm: Range = (2.4, 4.2)
    fade: Range = (0, 0.7)
    major_only: float = 0.15
    names: Mapping[str, float] = field(default_factory=lambda: {"above": 1.0})
    calibration: Mapping[str, float] = field(default_factory=lambda: {"left": 1.0})
    separators: float = 0.6
    scales: Mapping[tuple[float, float], float] = field(default_factory=lambda: {USUAL: 1.0})
    texts: Callable[[np.random.Generator, Setting], tuple[Text, ...]] = no_texts
