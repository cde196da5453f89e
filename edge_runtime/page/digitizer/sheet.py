"""The ink of a page at the resolution that its curves are read at: 8 pixels a millimetre, its grid taken out.

Whatever a grid looks like, it is what repeats from square to square. On a flat page every square lies over the next
one, so the median of a square and its two neighbours, taken down and then across, is the grid without the ink: a trace
runs through the squares of one row, a QRS complex through those of one column, and neither is in both medians.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page import light
from edge_runtime.page.together import together

Array = np.ndarray[Any, Any]
PX_PER_MM = 8
CELL = 5 * PX_PER_MM
_DARKEST = 90  # a grid line counts as no darker than this: what is darker is ink that happens to repeat
_LEAST = 30  # of 255, darker than the grid: surely no noise of the paper
_PEN = 80  # percentile of such pixels' darkness that is the pen's: the edges of its line are paler
_LEAST_APART = 40.0  # of 255, between a line of the grid and the pen
_USUAL = 150  # what the pen's own darkness counts as
_BLOCK_MM, _VARIES = 45.0, 50.0  # in which the pen is measured, and by how much it may differ from the whole page's
_FEWEST = 150  # pixels
_AT_ONCE = 64  # rows of pixels
_LEAST_SURE = 0.5
INK = 50  # from which a pixel counts


@dataclass(frozen=True)
class Sheet:
    """ink: uint8 [h, w], 150 where it is as dark as the pen that drew most of it, PX_PER_MM pixels a mm."""

    ink: Array

    @property
    def mask(self) -> Array:
        """bool [h, w]: where ink is."""
        return self.ink >= INK


def sheet(page: Array, sure: Array) -> Sheet:
    """The ink of an evenly lit flat page uint8 [h, w, 3], CELL pixels a square of 5 mm.

    sure [rows, columns]: how surely each square has a grid; where there is none there is no paper.

    Of the three channels the brightest counts: coloured lines are bright in one of them, and black ink in none.
    """
    bright = np.maximum(np.maximum(page[..., 0], page[..., 1]), page[..., 2])
    background = _darker_around(_repeated(bright))
    np.maximum(background, _DARKEST, out=background)
    ink = np.empty_like(bright)
    pen = np.ascontiguousarray(light.stretched(_pen(bright, background).T, bright.shape[1]).T)

    # Limits as arrays: numpy takes the higher or lower of two arrays in less time than of an array and a number.
    least, most = (np.full(bright.shape[1], limit, np.float32) for limit in (_LEAST_APART, 255))

    def some(rows: slice) -> None:
        # On a line of the grid ink is what is as dark as the pen, not what is darker than the line.
        behind = background[rows]
        pale = behind - light.stretched(pen, len(bright), rows)
        np.divide(_USUAL, np.maximum(pale, least, out=pale), out=pale)
        pale *= behind - np.minimum(behind, bright[rows])
        np.minimum(pale, most, out=ink[rows], casting="unsafe")

    together(some, light.bands(len(bright), _AT_ONCE))
    return Sheet(_only(ink, _paper(sure)))


def _only(ink: Array, paper: Array) -> Array:
    """The ink [h, w] in the squares [rows, columns] that are paper."""
    rows, columns = paper.shape
    squares = ink.reshape(rows, CELL, columns, CELL)
    squares *= paper[:, None, :, None]
    return ink


def _paper(sure: Array) -> Array:
    """1 in the squares that hold a grid or lie among such, else 0: uint8 [rows, columns]."""
    paper = light.closed((_mean_around(sure) > _LEAST_SURE).astype(np.uint8), 3, 0)
    for choose in (light.darkest, light.brightest):  # narrow strips are chance
        for axis in (0, 1):
            paper = choose(paper, 3, axis)
    return paper


def _pen(bright: Array, background: Array) -> Array:
    """How dark the pen is, float32 [r, c] of blocks of the page: where a picture is blurred its lines are paler."""
    level = np.ascontiguousarray(bright[::2, ::2])
    some = 255 - 255 * (level / background[::2, ::2].astype(np.float32))
    rows, columns = (max(1, round(side / (_BLOCK_MM * PX_PER_MM))) for side in bright.shape)
    usual = _darkest_fifth(some, level)
    blocks = np.full((rows, columns), usual, np.float32)
    for j, across in enumerate(np.array_split(np.arange(some.shape[0]), rows)):
        for i, down in enumerate(np.array_split(np.arange(some.shape[1]), columns)):
            own = slice(across[0], across[-1] + 1), slice(down[0], down[-1] + 1)
            blocks[j, i] = np.clip(_darkest_fifth(some[own], level[own], usual), usual - _VARIES, usual + _VARIES)
    return blocks


def _darkest_fifth(ink: Array, level: Array, otherwise: float = 0.0) -> float:
    """The level of the darkest fifth of what is surely ink."""
    sure = ink >= _LEAST
    if sure.sum() < _FEWEST:
        return otherwise
    return float(np.median(level[sure & (ink >= np.percentile(ink[sure], _PEN))]))


def _mean_around(values: Array) -> Array:
    padded = np.pad(values, 1, mode="edge")
    rows, columns = values.shape
    around: Array = np.mean([padded[j : j + rows, i : i + columns] for j in range(3) for i in range(3)], axis=0)
    return around


def _repeated(bright: Array) -> Array:
    """The grid alone, uint8 like `bright` [h, w]."""
    return _of_three(_of_three(bright, 0), 1)


def _of_three(values: Array, axis: int) -> Array:
    """The median of each pixel and those a square before and after it; in the first and the last square of the next
    two on their one side."""
    values = np.moveaxis(values, axis, 0)
    if len(values) < 3 * CELL:
        return np.moveaxis(values, 0, axis)
    median, last = np.empty_like(values), len(values) - CELL
    _median(values[:CELL], values[CELL : 2 * CELL], values[2 * CELL : 3 * CELL], median[:CELL])
    _median(values[CELL:last], values[: last - CELL], values[2 * CELL :], median[CELL:last])
    _median(values[last:], values[last - CELL : last], values[last - 2 * CELL : last - CELL], median[last:])
    return np.moveaxis(median, 0, axis)


def _median(own: Array, one: Array, other: Array, out: Array) -> None:
    np.maximum(one, other, out=out)
    np.minimum(out, own, out=out)
    np.maximum(out, np.minimum(one, other), out=out)


def _darker_around(values: Array) -> Array:
    """The darkest of three by three pixels: neighbouring squares lie over each other to a pixel, not better."""
    down = values.copy()
    np.minimum(down[1:], values[:-1], out=down[1:])
    np.minimum(down[:-1], values[1:], out=down[:-1])
    across = down.copy()
    np.minimum(across[:, 1:], down[:, :-1], out=across[:, 1:])
    np.minimum(across[:, :-1], down[:, 1:], out=across[:, :-1])
    return across
