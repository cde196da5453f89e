"""A sheet of office paper out of a printer: a large head that is mostly empty, the traces on the lower two thirds,
speed and gain below them."""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.family import Family, Setting
from pulse.ecg.paper.heading import foot, lines, patient, recorded
from pulse.ecg.paper.text import Text


def _texts(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    size = float(rng.uniform(2.2, 3.8))
    y = float(rng.uniform(4, 9))
    found = lines(patient(rng)[: int(rng.integers(1, 5))], setting.left_mm, y, size)
    found += lines(recorded(rng)[: int(rng.integers(1, 3))], setting.width_mm * float(rng.uniform(0.55, 0.75)), y, size)
    if rng.random() < 0.5:
        found += lines(["Name:", "Height:"], setting.width_mm * float(rng.uniform(0.3, 0.45)), y, size)
    return found + foot(rng, setting, size)


FAMILY = Family(
    share=0.2,
    layouts={"3x4+rhythm": 0.66, "3x4": 0.1, "6x2+rhythm": 0.08, "3x4-simultaneous": 0.04, "6x2": 0.08, "4x3": 0.04},
    styles={"grey": 0.5, "red": 0.25, "dark": 0.15, "blue": 0.05, "none": 0.05},
    width_mm=(280, 310),
    aspect=(1.25, 1.5),
    top=(0.15, 0.4),
    bottom=(0.0, 0.12),
    margin_mm=(5, 20),
    trace_mm=(0.15, 0.5),
    text_mm=(2.2, 3.8),
    names={"below": 0.6, "above": 0.4},
    calibration={"left": 0.85, "none": 0.15},
    separators=0.7,
    texts=_texts,
)
