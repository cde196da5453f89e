"""Every lead on a row of its own, ten seconds."""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout
from pulse.ecg.record import LEADS

LAYOUT = Layout("12x1", tuple((lead,) for lead in LEADS))
