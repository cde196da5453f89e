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
    tall = bottom - top > _TALL_MM * PX_PER_MM
    for row, column in zip(*np.nonzero(tall), strict=True):
        for side, sign in ((top, -1), (bottom, 1)):
            side[row, column] = _tip(runs, free, int(column), (top[row, column], bottom[row, column]), sign)
    return top, bottom


def _tip(runs: Runs, free: Array, column: int, run: tuple[float, float], sign: int) -> float:
    """Where the stroke through a run (top, bottom) ends upwards (sign -1) or downwards (1), whichever way it leans."""
    ends = [_leaning(runs, free, column, run, sign, aside) for aside in (-1, 1)]
    return min(ends) if sign < 0 else max(ends)


def _leaning(runs: Runs, free: Array, column: int, run: tuple[float, float], sign: int, aside: int) -> float:
    top, bottom = run
    for at in range(column + aside, column + aside * (_LEANS + 1), aside):
        if not 0 <= at < len(free):
            break
        high, low = runs.top[at], runs.bottom[at]
        touches = free[at] & (high <= bottom) & (low >= top)
        further = (high < top - _STEP) if sign < 0 else (low > bottom + _STEP)
        on = np.flatnonzero(touches & further)
        if len(on) == 0:
            break
        top, bottom = float(high[on[0]]), float(low[on[0]])
    return top if sign < 0 else bottom
