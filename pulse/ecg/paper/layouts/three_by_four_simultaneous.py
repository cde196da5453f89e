"""Three rows of four leads that all show the same seconds."""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout
from pulse.ecg.paper.layouts.three_by_four import ROWS

LAYOUT = Layout("3x4-simultaneous", ROWS, simultaneous=True)
