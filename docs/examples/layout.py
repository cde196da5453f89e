"""A page layout: the six limb leads alone, ten seconds each. Put it into edge_runtime/page/layouts/ as limb_leads.py;
`pulse-page RECORD --layout 6x1 --out page.png` then draws it.
"""

from __future__ import annotations

from edge_runtime.page.layout import Layout

LAYOUT = Layout("6x1", (("I",), ("II",), ("III",), ("aVR",), ("aVL",), ("aVF",)))
