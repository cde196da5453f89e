"""Thermal paper of portable machines: narrow strips and small sheets, thick dark lines or only every fifth, other
speeds and gains, which the page says."""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.family import Family, Setting
from pulse.ecg.paper.heading import foot, lines, measured, patient, recorded
from pulse.ecg.paper.text import Text


def _texts(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    size = float(rng.uniform(2.0, 3.4))
    words = [*recorded(rng)[:1], *patient(rng)[:2], *measured(rng)[:2]]
    # In one line, as narrow paper has it.
    head = lines(["   ".join(words[: int(rng.integers(1, 5))])], setting.left_mm, 1.5 + size, size)
    return (head if setting.top_mm > size else ()) + foot(rng, setting, size)


FAMILY = Family(
    share=0.12,
    layouts={
        "6x2": 0.2,
        "6x2+rhythm": 0.16,
        "12x1": 0.16,
        "3x4+rhythm": 0.14,
        "4x3": 0.1,
        "2x6": 0.06,
        "6x2-cabrera": 0.08,
        "3x4-cabrera": 0.04,
        "3x4-simultaneous": 0.06,
    },
    styles={"dark": 0.35, "grey": 0.2, "red": 0.2, "orange": 0.15, "green": 0.1},
    width_mm=(200, 300),
    aspect=(1.2, 2.0),
    top=(0.0, 0.1),
    bottom=(0.03, 0.08),
    margin_mm=(2, 12),
    trace_mm=(0.2, 0.6),
    text_mm=(2.4, 4.5),
    fade=(0, 0.6),
    major_only=0.4,
    names={"above": 0.5, "beside": 0.3, "below": 0.2},
    calibration={"left": 0.7, "right": 0.2, "none": 0.1},
    separators=0.3,
    scales={(25, 10): 0.66, (50, 10): 0.08, (25, 5): 0.12, (25, 20): 0.09, (50, 5): 0.05},
    texts=_texts,
)
