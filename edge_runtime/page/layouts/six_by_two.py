"""Six rows of two leads, five seconds each: limb leads beside chest leads."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

ROWS = (("I", "V1"), ("II", "V2"), ("III", "V3"), ("aVR", "V4"), ("aVL", "V5"), ("aVF", "V6"))
LAYOUT = Layout("6x2", ROWS)
