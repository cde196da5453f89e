"""Only the traces, cut out of a page or off a screen: wide, to the edge, no word but the leads' names."""

from __future__ import annotations

from pulse.ecg.paper.family import Family

FAMILY = Family(
    share=0.12,
    layouts={"3x4": 0.45, "3x4+rhythm": 0.35, "6x2": 0.1, "2x6": 0.1},
    styles={"pink": 0.45, "red": 0.3, "orange": 0.1, "grey": 0.1, "dark": 0.05},
    width_mm=(252, 275),
    aspect=(1.7, 2.6),
    margin_mm=(0, 3),
    trace_mm=(0.2, 0.6),
    text_mm=(2.6, 4.5),
    fade=(0, 0.5),
    major_only=0.05,
    names={"below": 0.45, "beside": 0.35, "above": 0.2},
    calibration={"left": 0.4, "right": 0.15, "none": 0.45},
    separators=0.6,
)
