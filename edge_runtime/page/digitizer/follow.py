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
    # The places of all rows lie in one line, and so does what a step costs: numpy takes a few long lines in less time
    # than many short ones, and arrays of limits in less than numbers.
    size = len(rows) * _PLACES
    ends = np.stack([top, -bottom, top + bottom], 1)  # of each run
    held = np.stack([at, -at, at + at]).repeat(_PLACES, 1)[:, None]  # of each place: lower end, -upper, and both
    cost = np.full(size, 1e6, np.float32)
    cost[_PLACES // 2 :: _PLACES] = 0
    none, far = np.zeros((most, size), np.float32), np.full((most, size), 20, np.float32)
    half = np.float32(_BACK / 2)
    before = np.tile(np.arange(size, dtype=np.int32), (columns, 1))
    through = np.full((columns, size), -1, np.int8)
    firsts = np.arange(most * len(rows)) * _PLACES
    for x in range(columns):
        count = last[x]
        if count == 0:
            cost += _NONE
            continue
        steps, above, away = ends[x, :, :count, None] - held
        np.maximum(steps, above, out=steps)
        np.maximum(steps, none[:count], out=steps)
        np.minimum(np.abs(away, out=away), far[:count], out=away)
        away *= half
        steps += away
        steps += cost
        # Of each run and row, the runs first, as in dear and place.
        best = steps.reshape(-1, _PLACES).argmin(1)
        best += firsts[: len(best)]
        own = steps.reshape(-1)[best]
        own += dear[x, :count].reshape(-1)
        cost += _NONE
        where = place[x, :count].reshape(-1)
        # A run near where a path waits takes it up, though waiting on is cheaper by the step to it.
        near = (own < cost[where] + _JUMP * _STEP_MM).nonzero()[0]
        # The cheapest of those at one place is put there last, and stays.
        near = near[(-own[near]).argsort(kind="stable")]
        there, run = where[near], near // len(rows)
        cost[there] = own[near]
        held[0, 0][there], held[1, 0][there], held[2, 0][there] = bottom[x][run], -top[x][run], ends[x, 2][run]
        before[x][there], through[x][there] = best[near] % size, run
    return Path(_traced(before, through, cost.reshape(-1, _PLACES)))


def _dear(top: Array, bottom: Array, at: Array) -> Array:
    """What being in each run costs each of the rows, float32 [w, MOST, r]: by how far it lies away, and whose it is.

    top, bottom [w, MOST] and at [r]: mm.
    """
    at = at[:, None, None]
    away = np.maximum(np.maximum(top - at, at - bottom) - _FREE_MM, 0)
    between = (at[1:] + at[:-1]) / 2
    most = np.full((1, 1, 1), np.inf, np.float32)
    first, end = np.concatenate([-most, between]), np.concatenate([between, most])
    middle = (top + bottom) / 2
    others = ((middle < first) | (middle > end)) & (bottom - top < _FLAT_MM)
    return _rows_last(_AWAY * away + np.float32(_OTHERS) * others)


def _places(top: Array, bottom: Array, at: Array) -> Array:
    """Of each run the place that it lies at for each of the rows, int [w, MOST, r], counted through all rows."""
    at = at[:, None, None]
    steps = np.round((top + bottom) / 2 / _STEP_MM - at / _STEP_MM) + _PLACES // 2
    return _rows_last(np.clip(steps, 0, _PLACES - 1).astype(np.int64) + _PLACES * np.arange(len(at))[:, None, None])


def _rows_last(values: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(values, 0, 2))


def _traced(before: Array, through: Array, cost: Array) -> Array:
    """The runs int [r, w] of the cheapest path of each row, from its end back. cost [r, places]; before, through: of
    each column and place of all rows [w, r * places]."""
    columns, count = len(before), len(cost)
    on = np.empty((columns, count), np.int64)
    here = cost.argmin(1) + np.arange(count) * _PLACES
    for x in range(columns - 1, -1, -1):
        on[x] = here
        here = before[x][here]
    return np.take_along_axis(through, on, 1).T.astype(np.int64)
