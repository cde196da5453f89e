"""Three rows of four leads over rhythm strips of V1, II and V5, as full-page cardiographs print it."""

from __future__ import annotations

from edge_runtime.page.layout import Layout
from edge_runtime.page.layouts.three_by_four import ROWS

LAYOUT = Layout("3x4+3rhythm", ROWS, rhythm=("V1", "II", "V5"))
