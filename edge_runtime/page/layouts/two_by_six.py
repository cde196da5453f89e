"""Two rows of six leads, 1.7 seconds each: limb leads over chest leads, as narrow strips have it."""

from __future__ import annotations

from edge_runtime.page.layout import Layout

LAYOUT = Layout("2x6", (("I", "II", "III", "aVR", "aVL", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6")))
