"""A full page of a hospital's cardiograph: a white head with measurements and statements, below it the gridded part,
one or three rhythm strips."""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.family import Family, Setting
from pulse.ecg.paper.heading import foot, lines, measured, patient, recorded, stated
from pulse.ecg.paper.text import Text


def _texts(rng: np.random.Generator, setting: Setting) -> tuple[Text, ...]:
    size = float(rng.uniform(1.9, 3.0))
    if setting.top_mm < 6 * size:
        return foot(rng, setting, size)
    columns = [patient(rng), measured(rng), stated(rng), recorded(rng)]
    x = np.linspace(0.02, 0.75, len(columns)) + rng.uniform(-0.015, 0.015, len(columns))
    room = int(setting.top_mm / (1.5 * size)) - 1
    found: tuple[Text, ...] = ()
    for share, words in zip(x, columns, strict=True):
        if rng.random() < 0.8:
            found += lines(words[:room], max(1.0, share * setting.width_mm), 2 + size, size)
    return found + foot(rng, setting, size)


FAMILY = Family(
    share=0.16,
    layouts={"3x4+rhythm": 0.5, "3x4+3rhythm": 0.36, "6x2+rhythm": 0.06, "3x4-cabrera": 0.04, "3x4-simultaneous": 0.04},
    styles={"red": 0.6, "orange": 0.15, "pink": 0.15, "grey": 0.1},
    width_mm=(262, 290),
    aspect=(1.25, 1.42),
    top=(0.08, 0.27),
    bottom=(0.03, 0.08),
    bare=0.7,
    margin_mm=(1, 6),
    trace_mm=(0.2, 0.5),
    text_mm=(2.0, 3.2),
    names={"below": 0.5, "above": 0.3, "beside": 0.2},
    calibration={"left": 0.7, "right": 0.1, "none": 0.2},
    separators=0.5,
    texts=_texts,
)
