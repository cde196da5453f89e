"""Three rows of four leads over a rhythm strip of lead II: what most cardiographs print, and ECGInstruct's pages."""

from __future__ import annotations

from edge_runtime.page.layout import Layout
from edge_runtime.page.layouts.three_by_four import ROWS

LAYOUT = Layout("3x4+rhythm", ROWS, rhythm=("II",))
