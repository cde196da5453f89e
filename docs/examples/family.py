"""A family of pages: blue paper, the ward's stamp below the traces. Put it into pulse/ecg/paper/families/ as ward.py;
`pulse-page RECORD --family ward --out page.png` then draws one.
"""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.family import Family, Setting
from pulse.ecg.paper.text import Text


def stamped(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    return (Text(f"Ward {rng.integers(1, 10)}   {setting.says}", 0.4 * setting.width_mm, setting.height_mm - 3, 5.0),)


FAMILY = Family(
    share=0.0,  # how often the training draws one; the shares of all families add up to 1
    layouts={"3x4": 0.5, "6x2": 0.5},
    styles={"blue": 1.0},
    bottom=(0.1, 0.2),
    texts=stamped,
)
