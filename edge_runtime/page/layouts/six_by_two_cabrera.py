"""Six rows of two leads in the Cabrera order, -aVR between I and II (AHA/ACC/HRS 2007)."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

LAYOUT = Layout(
    "6x2-cabrera",
    (("aVL", "V1"), ("I", "V2"), ("-aVR", "V3"), ("II", "V4"), ("aVF", "V5"), ("III", "V6")),
)
