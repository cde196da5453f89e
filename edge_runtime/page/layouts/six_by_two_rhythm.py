"""Six rows of two leads over a rhythm strip of lead II."""

from __future__ import annotations

from edge_runtime.page.layout import Layout
from edge_runtime.page.layouts.six_by_two import ROWS

LAYOUT = Layout("6x2+rhythm", ROWS, rhythm=("II",))
