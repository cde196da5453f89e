"""Three rows of four leads over a rhythm strip of lead II: what most cardiographs print, and ECGInstruct's pages."""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout
from pulse.ecg.paper.layouts.three_by_four import ROWS

LAYOUT = Layout("3x4+rhythm", ROWS, rhythm=("II",))
