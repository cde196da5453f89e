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
    at = (rows / PX_PER_MM).astype(np.float32)
    dear, place = _dear(top, bottom, at), _places(top, bottom, at)
    last = (runs.there * np.arange(1, most + 1)).max(1).tolist()  # places that are looked at
    both, half = top + bottom, np.float32(_BACK / 2)
    shape = len(rows), _PLACES
    cost = np.full(shape, 1e6, np.float32)
    cost[:, _PLACES // 2] = 0
    upper = np.repeat(at[:, None], _PLACES, 1)
    lower = upper.copy()
    before = np.tile(np.arange(_PLACES, dtype=np.int16), (columns, len(rows), 1))
    through = np.full((columns, *shape), -1, np.int8)
    each = np.arange(len(rows))[:, None]
    flat = [values.reshape(-1) for values in (cost, upper, lower)]
    for x in range(columns):
        count = last[x]
        high, low = top[x, :count, None], bottom[x, :count, None]
        steps = np.maximum(high - lower[:, None], upper[:, None] - low)
        np.maximum(steps, 0, out=steps)
        away = np.abs(both[x, :count, None] - (upper + lower)[:, None])
        steps += np.minimum(away, 20, out=away) * half
        steps += cost[:, None]
        best = steps.argmin(2)
        own = steps[each, np.arange(count), best] + dear[x, :, :count]
        cost += _NONE
        where = place[x, :, :count]
        # A run near where a path waits takes it up, though waiting on is cheaper by the step to it.
        row, run = np.nonzero(own < flat[0][where] + _JUMP * _STEP_MM)
        # The cheapest of those at one place is put there last, and stays.
        order = (-own[row, run]).argsort(kind="stable")
        row, run = row[order], run[order]
        there = where[row, run]
        for values, new in zip(flat, (own[row, run], top[x, run], bottom[x, run]), strict=True):
            values[there] = new
        before[x].reshape(-1)[there], through[x].reshape(-1)[there] = best[row, run], run
    return Path(_traced(before, through, cost))


def _dear(top: Array, bottom: Array, at: Array) -> Array:
    """What being in each run costs each of the rows, float32 [w, r, MOST]: by how far it lies away, and whose it is.

    top, bottom [w, MOST] and at [r]: mm.
    """
    away = np.maximum(np.maximum(top[:, None] - at[:, None], at[:, None] - bottom[:, None]) - _FREE_MM, 0)
    between = (at[1:] + at[:-1]) / 2
    first, end = np.append(-np.inf, between), np.append(between, np.inf)
    middle = ((top + bottom) / 2)[:, None]
    others = (middle < first[:, None]) | (middle > end[:, None])
    dear: Array = _AWAY * away + np.float32(_OTHERS) * (others & (bottom - top < _FLAT_MM)[:, None])
    return dear


def _places(top: Array, bottom: Array, at: Array) -> Array:
    """Of each run the place that it lies at for each of the rows, int [w, r, MOST], counted through all rows."""
    steps = np.round(((top + bottom) / 2)[:, None] / _STEP_MM - at[:, None] / _STEP_MM) + _PLACES // 2
    return np.clip(steps, 0, _PLACES - 1).astype(np.int64) + _PLACES * np.arange(len(at))[:, None]


def _traced(before: Array, through: Array, cost: Array) -> Array:
    columns, count, _ = before.shape
    run = np.empty((count, columns), np.int64)
    here, rows = cost.argmin(1), np.arange(count)
    for x in range(columns - 1, -1, -1):
        run[:, x] = through[x, rows, here]
        here = before[x, rows, here]
    return run
