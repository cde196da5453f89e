"""Where on a flat page the paper is, and where on the paper the traces are."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
_EDGE = 2  # squares of paper beyond the outermost clear ones, which bend most
_LEAST_GRID = 0.35  # of the usual depth of the grid's lines
_INK = 150  # grey level that is darker than any faded grid
_BAND = 8  # mm above and below a row in which a trace passes
_LEAST_TRACE = 0.75  # of the columns with ink in that band, where the fullest band has 1
_AIR = 20  # mm kept above the first and below the last row of traces


class Box(NamedTuple):
    """In squares, the end not included."""

    left: int
    top: int
    right: int
    bottom: int


def paper(lines: Array, cell: int) -> Box:
    """The rectangle of squares that hold a grid: the paper, whose edges run along its own lines.

    lines: uint8 [h, w], the page without ink (light.straight_lines). Each square counts for or against; the rectangle
    is the one with the largest sum, so that a fold or a shadow makes no hole.
    """
    rows, columns = lines.shape[0] // cell, lines.shape[1] // cell
    cells = lines[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell).astype(np.float32)
    profiles = cells.mean(1), cells.mean(3).transpose(0, 2, 1)
    depth = np.minimum(*(np.percentile(p, 75, axis=-1) - p.min(-1) for p in profiles))
    usual = np.percentile(depth, 70) + 1e-6
    box = _fullest(np.minimum(depth / usual, 1) - _LEAST_GRID)
    return Box(
        max(0, box.left - _EDGE), max(0, box.top - _EDGE), min(columns, box.right + _EDGE), min(rows, box.bottom + _EDGE)
    )


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


def trace_rows(ink: Array, px_per_mm: int) -> tuple[int, int]:
    """First and last row of pixels [h, w] to keep: those of traces, which cross the page, with some air around them.

    A trace leaves ink in nearly every column of a band around it; letters leave gaps. All rows where nothing does.
    """
    dark = ink < _INK
    band = _BAND * px_per_mm
    counts = np.concatenate([np.zeros((1, ink.shape[1]), np.int32), dark.cumsum(0, dtype=np.int32)])
    middle = np.arange(0, ink.shape[0], px_per_mm)
    low, high = np.maximum(middle - band, 0), np.minimum(middle + band, ink.shape[0])
    share = (counts[high] > counts[low]).mean(1)
    full = np.flatnonzero(share >= _LEAST_TRACE * share.max())
    if share.max() < 0.3:
        return 0, ink.shape[0]
    # A band already reaches beyond its trace by its own half.
    reach = band - _AIR * px_per_mm
    return max(0, int(middle[full[0]]) + min(0, reach)), min(ink.shape[0], int(middle[full[-1]]) - min(0, reach))
