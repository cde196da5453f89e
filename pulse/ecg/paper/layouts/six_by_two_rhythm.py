"""Six rows of two leads over a rhythm strip of lead II."""

from __future__ import annotations

from pulse.ecg.paper.layout import Layout
from pulse.ecg.paper.layouts.six_by_two import ROWS

LAYOUT = Layout("6x2+rhythm", ROWS, rhythm=("II",))
