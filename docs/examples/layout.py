"""A page layout: four rows of three leads, 3.3 seconds each. Put it into pulse/ecg/paper/layouts/ as four_by_three.py;
`pulse-page RECORD --layout 4x3 --out page.png` then draws it.
"""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout

LAYOUT = Layout(
    "4x3",
    (("I", "aVR", "V1"), ("II", "aVL", "V2"), ("III", "aVF", "V3"), ("V4", "V5", "V6")),
    share=0.0,  # how often the training draws it; the shares of all layouts add up to 1
)
