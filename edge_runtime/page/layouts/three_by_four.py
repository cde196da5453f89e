"""Three rows of four leads, 2.5 seconds each."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
LAYOUT = Layout("3x4", ROWS)
