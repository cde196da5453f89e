"""Runs of ink in the columns of a page: what a curve is read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page import light
from edge_runtime.page.digitizer.sheet import INK, Sheet

Array = np.ndarray[Any, Any]
_BRIDGE = 6  # pixels, more than a line of the grid is wide: a stroke that crosses it is one
_TALL, _APART = 12, 10  # pixels of pieces of a stroke, and between them
NOWHERE = 1e5
MOST = 24  # runs of a column that are looked at


@dataclass(frozen=True)
class Runs:
    """Of each column up to MOST runs from the top down; those there are not have top > bottom.

    top, bottom: float32 [w, MOST], where the ink begins and ends, to a fraction of a pixel.
    """

    top: Array
    bottom: Array

    @property
    def there(self) -> Array:
        """bool [w, MOST]."""
        return self.top <= self.bottom


def runs(sheet: Sheet) -> Runs:
    """The runs of a sheet's ink, the longest where a column has more than MOST."""
    mask = np.zeros((sheet.ink.shape[0] + 2, sheet.ink.shape[1]), bool)
    mask[1:-1] = light.closed(sheet.mask, _BRIDGE, 0)
    edge, column = np.divmod(np.flatnonzero(mask[1:] != mask[:-1]), mask.shape[1])
    order = column.argsort(kind="stable")
    column, edge = column[order], edge[order]  # where runs begin and end in turn
    ink = sheet.ink.T
    column, first, last = column[::2], edge[::2], edge[1::2] - 1
    column, first, last = _strokes(column, first, last)
    keep = _longest(column, last - first, ink.shape[0])
    column, first, last = column[keep], first[keep], last[keep]
    place = np.arange(len(column)) - np.searchsorted(column, column)
    shape = (ink.shape[0], MOST)
    top, bottom = np.full(shape, NOWHERE, np.float32), np.full(shape, -NOWHERE, np.float32)
    top[column, place] = first - _beyond(ink, column, first, first - 1)
    bottom[column, place] = last + _beyond(ink, column, last, last + 1)
    return Runs(top, bottom)


def _strokes(column: Array, first: Array, last: Array) -> tuple[Array, Array, Array]:
    """Runs with those put together that are pieces of one stroke: tall, in one column, and hardly apart."""
    tall = last - first >= _TALL
    on = (column[1:] == column[:-1]) & tall[1:] & tall[:-1] & (first[1:] - last[:-1] <= _APART)
    begins, ends = np.append(True, ~on), np.append(~on, True)
    return (column[begins], first[begins], last[ends]) if len(column) else (column, first, last)


def _longest(column: Array, length: Array, columns: int) -> Array:
    """bool like `column`: which runs are among the MOST longest of theirs."""
    counts = np.bincount(column, minlength=columns)
    keep = np.ones(len(column), bool)
    begins = np.append(0, counts.cumsum())
    for crowded in np.flatnonzero(counts > MOST):
        own = slice(begins[crowded], begins[crowded + 1])
        keep[own] = np.argsort(np.argsort(-length[own], kind="stable"), kind="stable") < MOST
    return keep


def _beyond(ink: Array, column: Array, inside: Array, outside: Array) -> Array:
    """How far the ink goes on from a run's end pixel to the next one, 0 to 1, by the darkness of both."""
    dark = ink[column, inside].astype(np.float32)
    pale = np.where((outside >= 0) & (outside < ink.shape[1]), ink[column, np.clip(outside, 0, ink.shape[1] - 1)], 0)
    return np.clip((dark - INK) / np.maximum(dark - pale, 1), 0, 1)
