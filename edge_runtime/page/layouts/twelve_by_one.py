"""Every lead on a row of its own, ten seconds."""

from __future__ import annotations

from edge_runtime.leads import LEADS
from edge_runtime.page.layout import Layout

LAYOUT = Layout("12x1", tuple((lead,) for lead in LEADS))
