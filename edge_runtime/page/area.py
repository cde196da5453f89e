"""Where the paper is on a flat page."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
_EDGE = 2  # squares of paper beyond the outermost clear ones, which bend most
_LEAST_GRID = 0.35  # of the usual depth of the grid's lines


class Box(NamedTuple):
    """In squares, the end not included."""

    left: int
    top: int
    right: int
    bottom: int


def paper(lines: Array, cell: int, seen: Array) -> Box:
    """The rectangle of squares that hold a grid: the paper, whose edges run along its own lines.

    lines: uint8 [h, w], the page without ink (light.straight_lines). Each square counts for or against; the rectangle
    is the one with the largest sum, so that a fold or a shadow makes no hole. seen: squares (u, v) [n, 2] in which the
    grid was clear before the page was flat; none of them is cut off, however crumpled the page is there.
    """
    rows, columns = lines.shape[0] // cell, lines.shape[1] // cell
    cells = lines[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).astype(np.float32)
    profiles = cells.mean(1), cells.mean(3).transpose(0, 2, 1)
    depth = np.minimum(*(np.percentile(p, 75, axis=-1) - p.min(-1) for p in profiles))
    usual = np.percentile(depth, 70) + 1e-6
    box = _fullest(np.minimum(depth / usual, 1) - _LEAST_GRID)
    first = np.minimum(np.array(box[:2]) - _EDGE, np.floor(seen.min(0)))
    last = np.maximum(np.array(box[2:]) + _EDGE, np.ceil(seen.max(0)))
    first, last = np.maximum(0, first).astype(int), np.minimum((columns, rows), last).astype(int)
    return Box(*first.tolist(), *last.tolist())


def _fullest(values: Array) -> Box:
    """The rectangle with the largest sum: for each pair of rows the best run of columns (Kadane)."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0)])
    best, found = -np.inf, Box(0, 0, values.shape[1], values.shape[0])
    for top in range(values.shape[0]):
        strips = np.cumsum(sums[top + 1 :] - sums[top], axis=1)
        before = np.minimum.accumulate(np.concatenate([np.zeros((len(strips), 1)), strips[:, :-1]], 1), axis=1)
        gain = strips - before
        row, right = np.unravel_index(np.argmax(gain), gain.shape)
        if gain[row, right] > best:
            best = gain[row, right]
            runs = np.append(0, strips[row, :-1])
            left = int(np.flatnonzero(runs[: right + 1] <= before[row, right])[0])
            found = Box(left, top, int(right) + 1, top + int(row) + 1)
    return found
