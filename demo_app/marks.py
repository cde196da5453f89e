"""The colours of what was read: Okabe and Ito's, which every eye tells apart (https://jfly.uni-koeln.de/color/)."""

from __future__ import annotations

CURVE = "#CC79A7"
WAVES = {"P": "#009E73", "QRS": "#D55E00", "T": "#0072B2"}
