"""Each row's curve followed through the runs of ink, column by column, by the cheapest path (Viterbi 1967).

All rows are followed at once. A path pays for jumps over paper, for columns in which it has no ink, and for staying far
from its row: a neighbour's wave that crosses a row costs less than leaving it for the neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page.digitizer.runs import Runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM

Array = np.ndarray[Any, Any]
_JUMP = 1.0  # a mm of paper between two runs
_NONE = 0.25  # a column without ink
_AWAY = 0.002  # a column and mm away from the row
_FREE_MM = 3.0  # that cost nothing
_OTHERS, _FLAT_MM = 0.2, 3.0  # a column in a run no taller than this that lies nearer to another row
_STEP_MM, _PLACES = 1.5, 56
_BACK = 0.005  # a mm between the middles of runs that touch


@dataclass(frozen=True)
class Path:
    """Of each row and column: number of the run, int [r, w]; -1 where there is no ink."""

    run: Array

    def take(self, values: Array) -> Array:
        """values [w, MOST] of the runs on the path, float64 [r, w]; NaN where there is none."""
        taken = values[np.arange(values.shape[0])[None], np.maximum(self.run, 0)].astype(float)
        return np.where(self.run >= 0, taken, np.nan)


def follow(runs: Runs, rows: Array) -> Path:
    """The path of each of the rows [r], rows of pixels.

    A path's state is where it is, in steps of _STEP_MM from its row: of those that came to one place the cheapest goes
    on, and over columns without ink each stays where it is.
    """
    columns, most = runs.top.shape
    top, bottom = (np.asarray(side, np.float32) / PX_PER_MM for side in (runs.top, runs.bottom))
    at = (rows / PX_PER_MM).astype(np.float32)[:, None]
    last = (runs.there * np.arange(1, most + 1)).max(1)  # places that are looked at
    cost = np.full((len(rows), _PLACES), 1e6, np.float32)
    cost[:, _PLACES // 2] = 0
    upper = np.repeat(at, _PLACES, 1)
    lower = upper.copy()
    before = np.tile(np.arange(_PLACES, dtype=np.int16), (columns, len(rows), 1))
    through = np.full((columns, len(rows), _PLACES), -1, np.int8)
    each = np.arange(len(rows))[:, None]
    between = (at[1:, 0] + at[:-1, 0]) / 2
    first, end = np.append(-np.inf, between)[:, None], np.append(between, np.inf)[:, None]
    for x in range(columns):
        high, low = top[x, : last[x]], bottom[x, : last[x]]
        steps = _JUMP * np.maximum(high - lower[:, :, None], upper[:, :, None] - low)
        np.maximum(steps, 0, out=steps)
        steps += np.minimum(np.abs((high + low) - (upper + lower)[:, :, None]), 20) * (_BACK / 2)
        steps += cost[:, :, None]
        best = steps.argmin(1)
        away = np.maximum(np.maximum(high - at, at - low) - _FREE_MM, 0)
        own = np.take_along_axis(steps, best[:, None], 1)[:, 0] + _AWAY * away
        middle = (high + low) / 2
        own += _OTHERS * ((low - high < _FLAT_MM) & ((middle < first) | (middle > end)))
        place = np.clip(np.round((middle - at) / _STEP_MM) + _PLACES // 2, 0, _PLACES - 1).astype(np.int64)
        cost += _NONE
        # The cheapest of those at one place is put there last, and stays.
        order = np.argsort(-own, axis=1)
        place, own = np.take_along_axis(place, order, 1), np.take_along_axis(own, order, 1)
        # A run near where a path waits takes it up, though waiting on is cheaper by the step to it.
        row, run = np.nonzero(own < cost[each, place] + _JUMP * _STEP_MM)
        where, number = place[row, run], order[row, run]
        cost[row, where], upper[row, where], lower[row, where] = own[row, run], high[number], low[number]
        before[x, row, where], through[x, row, where] = best[row, number], number
    return Path(_traced(before, through, cost))


def _traced(before: Array, through: Array, cost: Array) -> Array:
    columns, count, _ = before.shape
    run = np.empty((count, columns), np.int64)
    here, rows = cost.argmin(1), np.arange(count)
    for x in range(columns - 1, -1, -1):
        run[:, x] = through[x, rows, here]
        here = before[x, rows, here]
    return run
