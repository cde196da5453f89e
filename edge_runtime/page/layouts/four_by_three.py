"""Four rows of three leads, 3.3 seconds each."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

LAYOUT = Layout(
    "4x3",
    (("I", "aVR", "V1"), ("II", "aVL", "V2"), ("III", "aVF", "V3"), ("V4", "V5", "V6")),
)
