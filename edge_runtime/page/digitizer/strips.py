"""Where the rows' curves begin and end, and the calibration marks before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page import light
from edge_runtime.page.digitizer.rows import flat_pieces
from edge_runtime.page.digitizer.sheet import PX_PER_MM

Array = np.ndarray[Any, Any]
_HEIGHT_MM = (4.0, 22.0)
_WIDTH_MM = (1.5, 12.5)
_BESIDE_MM, _MOST_BEFORE = 3.0, 0.3  # share of a row's columns before the end of a mark that have a curve
_BAND = 5  # pixels in which the top of a mark lies
_APART = 3  # pixels between two of a mark's top
_SAME_MM = 1.5
_OVER_MM = 4.0  # over which a curve's darkness is averaged
_LEAST_DARK = 0.5  # of a row's usual darkness
_GAP_MM = 8.0  # within a curve
_LEAST_MM = 12.0  # of a piece of a curve


@dataclass(frozen=True)
class Mark:
    """A calibration mark. end: column where it comes down. height, width: mm."""

    end: float
    height: float
    width: float


def marks(ink: Array, lines: Array) -> list[Mark]:
    """The marks of 1 mV of the rows, one each at most: level pieces of line, equally high above most of the rows' lines
    [r] and ending at the same column.

    ink: bool [h, w]. A mark's sides may be hidden by lines of the grid, so that its top is what is looked for.
    """
    ink = ink[:, : ink.shape[1] // 3]
    flat = flat_pieces(ink)
    thick = light.brightest(ink.astype(np.uint8), _BAND, 0) > 0
    each = [_levels(thick, flat, line) for line in lines]
    voted = [(_alike(one, each), one) for row in each for one in row]
    if not voted:
        return []
    best = max(voted, key=lambda vote: (len(vote[0]), vote[1].width))[0]
    return best if len(best) >= max(2, len(lines) / 2) else []


def _alike(one: Mark, each: list[list[Mark]]) -> list[Mark]:
    """Of each row the level most like one of them, where it is alike."""
    found = []
    for row in each:
        near = [m for m in row if abs(m.end - one.end) < _SAME_MM * PX_PER_MM and abs(m.height - one.height) < _SAME_MM]
        near = [m for m in near if abs(m.width - one.width) < _SAME_MM]
        if near:
            found.append(min(near, key=lambda m: abs(m.height - one.height) + abs(m.width - one.width)))
    return found


def _levels(thick: Array, flat: Array, line: float) -> list[Mark]:
    """Level pieces of line above a row's line. thick, flat [h, w]: where ink is within _BAND, and its flat pieces."""
    low, high = (round(height * PX_PER_MM) for height in _HEIGHT_MM)
    beside = round(_BESIDE_MM * PX_PER_MM)
    near: Array = flat[max(0, round(line) - beside) : round(line) + beside]
    before = np.cumsum(near.any(0))  # columns with a curve
    at = round(line) - np.arange(low, high, 2)
    at = at[at >= _BAND]
    row, begin, end = _pieces(thick[at])
    wide = (end - begin >= _WIDTH_MM[0] * PX_PER_MM) & (end - begin <= _WIDTH_MM[1] * PX_PER_MM)
    wide &= before[end - 1] / end < _MOST_BEFORE  # a name has its row's curve before it
    sizes = np.stack([round(line) - at[row], end - begin], 1)[wide] / PX_PER_MM
    return [Mark(float(last), *size) for last, size in zip(end[wide], sizes.tolist(), strict=True)]


def _pieces(level: Array) -> tuple[Array, Array, Array]:
    """Row, first column and the one after the last of the pieces of line in bool [n, w], hardly apart or longer."""
    row, column = np.nonzero(level)
    apart = (np.diff(row) > 0) | (np.diff(column) > _APART)
    begins, ends = (np.append(True, apart), np.append(apart, True)) if len(row) else (apart, apart)
    return row[begins], column[begins], column[ends] + 1


def stretch(dark: Array) -> tuple[int, int] | None:
    """First and last column of a curve by how dark its ink is in each column [w], NaN where there is none: what is
    paler than the rest of the row, or short and far from it, is no part of it."""
    width = round(_OVER_MM * PX_PER_MM)
    mean = np.convolve(np.nan_to_num(dark), np.ones(width) / width, "same")
    least = _LEAST_DARK * np.percentile(mean, 70)
    known = np.nan_to_num(dark) > least
    known &= mean > 0.6 * least
    pieces = [(begin, end) for begin, end in stretches(closed(known, round(_GAP_MM * PX_PER_MM)))]
    pieces = [piece for piece in pieces if piece[1] - piece[0] >= _LEAST_MM * PX_PER_MM]
    return (pieces[0][0], pieces[-1][1] - 1) if pieces else None


def closed(values: Array, gap: int) -> Array:
    """bool [w] with gaps of up to `gap` columns filled."""
    at = np.flatnonzero(values)
    filled = values.copy()
    for before in np.flatnonzero((np.diff(at) > 1) & (np.diff(at) <= gap)):
        filled[at[before] : at[before + 1]] = True
    return filled


def stretches(values: Array) -> list[tuple[int, int]]:
    """(first, last + 1) of each run of True in bool [w]."""
    step = np.diff(np.concatenate([[0], values.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(step == 1).tolist(), np.flatnonzero(step == -1).tolist(), strict=True))
