"""The short upright bars that some machines print where one lead ends and the next one begins."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page.digitizer.runs import NOWHERE, Runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM

Array = np.ndarray[Any, Any]
_HALF_MM = (2.0, 9.0)  # of a bar, above and below its row's line
_EVEN_MM = 3.0  # by which the halves may differ: a row's line is not the lead's own
_WIDE_MM = 1.3
_LEAST_ROWS = 3


def without_bars(runs: Runs, rows: Array) -> tuple[Runs, Array]:
    """The runs without the bars; columns float64 [b] in which bars stand, from the left.

    A bar reaches as far up as down, and stands in most rows [r] at the same place: a QRS complex does not.
    """
    above = rows[:, None, None] - runs.top
    below = runs.bottom - rows[:, None, None]
    low, high = (side * PX_PER_MM for side in _HALF_MM)
    bar = (above >= low) & (below >= low) & (above <= high) & (below <= high)
    bar &= (np.abs(above - below) <= _EVEN_MM * PX_PER_MM) & runs.there
    counts = bar.any(2).sum(0)
    # A bar that stands a pixel aside in another row is the same one.
    near = np.maximum.reduce([np.roll(counts, by) for by in (-2, -1, 0, 1, 2)])
    columns = np.flatnonzero((counts > 0) & (near >= _LEAST_ROWS))
    groups = np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1) if len(columns) else []
    groups = [group for group in groups if len(group) <= _WIDE_MM * PX_PER_MM]
    top, bottom = runs.top.copy(), runs.bottom.copy()
    for group in groups:
        around = slice(max(0, group[0] - 1), group[-1] + 2)
        top[around][bar[:, around].any(0)], bottom[around][bar[:, around].any(0)] = NOWHERE, -NOWHERE
    return Runs(top, bottom), np.array([group.mean() for group in groups])
