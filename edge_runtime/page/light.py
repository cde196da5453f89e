"""The light taken out of a flat page, and its grid faded: what is left is ink on white."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page.together import together

Array = np.ndarray[Any, Any]
_LEVEL = 80  # percentile of a cell that counts as bare paper
_SAMPLES = 10  # of a cell, down and across, that its level is taken of
_AT_ONCE = 64  # rows of pixels
_LENGTH = 4.0  # squares: dark lines that go on for longer are the grid's


def even(page: Array, cell: int) -> Array:
    """A page uint8 [h, w, 3] whose paper is made white all over: each channel over its own local paper level; cell:
    pixels of a square."""
    height, width = page.shape[:2]
    levels = np.maximum(_levels(page, cell), 16)
    levels = stretched(levels.swapaxes(0, 1), width).swapaxes(0, 1).reshape(len(levels), -1) / 250
    # Pixels in one line, as they lie in memory: all channels at once.
    lines, evened = page.reshape(height, -1), np.empty((height, 3 * width), np.uint8)
    white = np.full(3 * width, 255, np.float32)  # numpy takes the lower of two arrays in less time than of a number

    def some(rows: slice) -> None:
        ratio = stretched(levels, height, rows)
        np.divide(lines[rows], ratio, out=ratio)
        np.minimum(ratio, white, out=evened[rows], casting="unsafe")

    together(some, bands(height, _AT_ONCE))
    return evened.reshape(page.shape)


def bands(height: int, rows: int) -> list[slice]:
    """The rows of a page in bands: so few pixels of each that they stay in a processor's cache."""
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def stretched(values: Array, size: int, some: slice = slice(None)) -> Array:
    """float32 [n, ...]: some of `size` pixels over which values [r, ...] are laid, between their middles linear."""
    at = np.clip((np.arange(size)[some] + 0.5) * (len(values) / size) - 0.5, 0, len(values) - 1)
    before = at.astype(int)
    part = (at - before).astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    laid = np.empty((len(at), *values.shape[1:]), values.dtype)
    ends = [*(np.flatnonzero(np.diff(before)) + 1).tolist(), len(at)]
    for first, end in zip([0, *ends], ends, strict=False):  # the pixels between the same two values
        low, high = values[before[first]], values[min(before[first] + 1, len(values) - 1)]
        np.multiply(high - low, part[first:end], out=laid[first:end])
        laid[first:end] += low
    return laid


def _levels(page: Array, cell: int) -> Array:
    """float32 [rows, columns, 3]: of each cell of a page [h, w, 3], the median of three by three cells' levels."""
    rows, columns = (side // cell for side in page.shape[:2])
    blocks = page[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell, -1)
    step = max(1, cell // _SAMPLES)
    some = blocks[:, ::step, :, ::step].transpose(0, 2, 4, 1, 3).reshape(rows, columns, page.shape[2], -1)
    # Sorted, of 16 bits: for those numpy has vector instructions, for selecting it has none.
    some = np.sort(some.astype(np.uint16))
    low, part = divmod(_LEVEL / 100 * (some.shape[3] - 1), 1)
    below, above = (some[..., int(low) + by].astype(float) for by in (0, 1))
    level = np.pad(below + part * (above - below), ((1, 1), (1, 1), (0, 0)), mode="edge")
    near = np.stack([level[j : j + rows, i : i + columns] for j in range(3) for i in range(3)], -1)
    smooth: Array = np.sort(near)[..., 4].astype(np.float32)
    return smooth


def straight_lines(grey: Array, cell: int) -> Array:
    """The paper and those of its dark lines that run on straight for several squares, which traces and letters do not:
    uint8 like `grey` [h, w]."""
    length = round(_LENGTH * cell)
    lines: Array = np.minimum(closed(grey, length, 0), closed(grey, length, 1))
    return lines


def without(grey: Array, background: Array) -> Array:
    """grey over a background: uint8 [h, w]."""
    # No darker than nearly all of the grid is: a flat stretch of trace is as straight, but it is darker.
    background = np.maximum(background, np.percentile(background[::4, ::4], 4)).astype(np.float32)
    faded: Array = np.clip(grey / np.maximum(background, 60) * 255, 0, 255).astype(np.uint8)
    return faded


def closed(grey: Array, length: int, axis: int) -> Array:
    """Brightest, then darkest of `length` pixels along an axis: dark runs shorter than that are gone."""
    return darkest(brightest(grey, length, axis), length, axis)


def brightest(grey: Array, length: int, axis: int) -> Array:
    return _running(grey, length, axis, np.maximum)


def darkest(grey: Array, length: int, axis: int) -> Array:
    return _running(grey, length, axis, np.minimum)


def _running(values: Array, length: int, axis: int, choose: np.ufunc) -> Array:
    """choose over windows of `length` centred on each pixel, by doubling."""
    before = length // 2
    padding = [(0, 0), (0, 0)]
    padding[axis] = (before, length - 1 - before)
    values = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0)
    size = 1
    while 2 * size <= length:
        values, size = choose(values[:-size], values[size:]), 2 * size
    if size < length:
        values = choose(values[: len(values) - (length - size)], values[length - size :])
    return np.moveaxis(values, 0, axis)
