"""Tips of steep strokes that lean: on a crumpled page a wave does not stand upright, and its tip lies over columns in
which the curve has already come back.

What is attached to the end of a tall run, leads further away from it and is nobody's, is the rest of that stroke. It is
counted in the column that it grew from, which is where the wave would stand upright.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page.digitizer.follow import Path
from edge_runtime.page.digitizer.runs import Runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM

Array = np.ndarray[Any, Any]
_TALL_MM = 1.5  # a run that is part of a stroke
_LEANS = 14  # columns that a tip may lie aside
_STEP = 1.0  # pixel by which it must lead further


def with_tips(runs: Runs, path: Path) -> tuple[Array, Array]:
    """Tops and bottoms float64 [r, w] of the runs on the path, lengthened by the tips of leaning strokes."""
    top, bottom = path.take(runs.top), path.take(runs.bottom)
    taken = np.zeros(runs.top.shape, bool)
    row, column = np.nonzero(path.run >= 0)
    taken[column, path.run[row, column]] = True
    free = runs.there & ~taken
    row, column = np.nonzero(bottom - top > _TALL_MM * PX_PER_MM)
    for side, sign, farthest in ((top, -1, np.minimum), (bottom, 1, np.maximum)):
        ends = top[row, column], bottom[row, column]
        side[row, column] = farthest(*(_leaning(runs, free, column, ends, sign, aside) for aside in (-1, 1)))
    return top, bottom


def _leaning(runs: Runs, free: Array, column: Array, ends: tuple[Array, Array], sign: int, aside: int) -> Array:
    """Where strokes [n] through runs (tops, bottoms) in some columns end upwards (sign -1) or downwards (1), leaning to
    the left (aside -1) or to the right (1)."""
    top, bottom = (side.copy() for side in ends)
    left = np.arange(len(column))  # the strokes that still go on
    for away in range(1, _LEANS + 1):
        at = column[left] + aside * away
        within = (at >= 0) & (at < len(free))
        left, at = left[within], at[within]
        high, low = runs.top[at], runs.bottom[at]
        touches = free[at] & (high <= bottom[left, None]) & (low >= top[left, None])
        further = (high < top[left, None] - _STEP) if sign < 0 else (low > bottom[left, None] + _STEP)
        on = touches & further
        goes = on.any(1)
        left, at, run = left[goes], at[goes], on.argmax(1)[goes]
        top[left], bottom[left] = runs.top[at, run], runs.bottom[at, run]
    return top if sign < 0 else bottom
