"""A page layout: the six limb leads alone, ten seconds each. Put it into pulse/ecg/paper/layouts/ as limb_leads.py;
`pulse-page RECORD --layout 6x1 --out page.png` then draws it.
"""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout

LAYOUT = Layout("6x1", (("I",), ("II",), ("III",), ("aVR",), ("aVL",), ("aVF",)))
