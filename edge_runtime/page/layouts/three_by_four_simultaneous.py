"""Three rows of four leads that all show the same seconds."""

from __future__ import annotations

from edge_runtime.page.layout import Layout
from edge_runtime.page.layouts.three_by_four import ROWS

LAYOUT = Layout("3x4-simultaneous", ROWS, simultaneous=True)
