"""Three rows of four leads in the Cabrera order over a rhythm strip of lead II."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

LAYOUT = Layout(
    "3x4-cabrera",
    (("aVL", "II", "V1", "V4"), ("I", "aVF", "V2", "V5"), ("-aVR", "III", "V3", "V6")),
    rhythm=("II",),
)
