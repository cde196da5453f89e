"""Pages as ECGInstruct and this project's own commands draw them: traces over all of the paper, at most three lines
above them."""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.family import Family, Setting
from pulse.ecg.paper.heading import lines
from pulse.ecg.paper.text import Text


def _texts(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    if setting.top_mm < 3:
        return ()
    known = [
        f"ID: {rng.integers(10**6, 10**8)}   {rng.integers(1990, 2027)}-{rng.integers(1, 13):02d}",
        f"{'Male' if rng.random() < 0.5 else 'Female'}  {rng.integers(18, 95)} yr   {rng.integers(140, 200)} cm",
        f"{setting.says}   0.05-40 Hz",
    ]
    size = float(rng.uniform(2.4, 4.2))
    count = min(3, int(setting.top_mm / (1.5 * size)))
    chosen = sorted(rng.choice(3, count, replace=False))
    return lines([known[k] for k in chosen], setting.left_mm, 3 + size, size)


FAMILY = Family(
    share=0.4,
    layouts={"3x4+rhythm": 0.5, "6x2": 0.17, "3x4": 0.13, "12x1": 0.14, "6x2+rhythm": 0.06},
    styles={"red": 0.46, "orange": 0.12, "green": 0.1, "blue": 0.08, "grey": 0.16, "none": 0.08},
    top=(0, 0.1),
    names={"above": 0.97, "none": 0.03},
    calibration={"left": 0.75, "none": 0.25},
    texts=_texts,
)
