"""What is left over when a page has been laid flat: by how much its grid still leaves its places, square by square.

The surface is smooth; a crease is not. On a page that is nearly flat every square shows the same piece of grid, so that
the piece seen in a square, laid over the usual one, says how far it was carried (by cross-correlation along both
directions, to a part of a pixel).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page.together import together

Array = np.ndarray[Any, Any]
_MOST = 0.3  # squares that a piece may be carried
_ALIKE = 0.75  # of the grid's likeness to itself: a shift with more could be taken for none
_LEAST = 0.45  # correlation of a piece with the usual one that counts
_ROUNDS = 2
_INK = 85  # percentile of darkness; what is darker counts as no darker


def slips(bright: Array, cell: int) -> tuple[Array, Array]:
    """Squares (across, down), float64 [rows, columns, 2], by which the grid stands off in each square of a page; and
    how surely there is a grid, 0 to 1 [rows, columns].

    bright: uint8 [h, w], the channel in which the grid is darkest. Where no grid is seen, what is around counts.
    """
    rows, columns = (side // cell for side in bright.shape)
    dark = 255 - bright[: rows * cell, : columns * cell]
    dark = np.minimum(dark, _percentile(dark, _INK)).reshape(rows, cell, columns, cell)
    pieces = dark.mean(1), dark.mean(3).transpose(0, 2, 1)  # of lines that go down, and of those that go across
    carried = together(lambda piece: _carried(piece, cell), pieces)
    return np.stack([shift for shift, _ in carried], -1), np.minimum(*(sure for _, sure in carried))


def _percentile(values: Array, share: float) -> np.uint8:
    """Of uint8 values."""
    counts = np.bincount(values.ravel(), minlength=256).cumsum()
    return np.uint8(np.searchsorted(counts, share / 100 * counts[-1]))


def _carried(pieces: Array, cell: int) -> tuple[Array, Array]:
    """Squares [r, c] of pieces [r, c, cell], and how surely."""
    pieces = _around(pieces - pieces.mean(-1, keepdims=True))
    shift = np.zeros(pieces.shape[:2])
    for _ in range(_ROUNDS):
        usual = np.median(_moved(pieces, -shift), (0, 1))
        shift, sure = _laid_over(pieces, usual - usual.mean(), cell)
    return _smooth(shift, np.maximum(sure - _LEAST, 0)) / cell, sure


def _around(values: Array) -> Array:
    """The mean of each square and its eight neighbours."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = values.shape[:2]
    around: Array = np.mean([padded[j : j + rows, i : i + columns] for j in range(3) for i in range(3)], axis=0)
    return around


def _moved(pieces: Array, by: Array) -> Array:
    """Pieces [r, c, cell], each carried `by` [r, c] pixels around."""
    turns = np.exp(-2j * np.pi * np.fft.rfftfreq(pieces.shape[-1]) * by[..., None])
    return np.fft.irfft(np.fft.rfft(pieces) * turns, pieces.shape[-1])


def _laid_over(pieces: Array, usual: Array, cell: int) -> tuple[Array, Array]:
    """Pixels by which each piece has to be carried back, and how well it lies then, -1 to 1."""
    spectrum = np.fft.rfft(usual)
    own = np.fft.irfft(spectrum * spectrum.conj(), cell) / max(float((usual**2).sum()), 1e-9)
    reach = _reach(own, cell)
    alike = np.fft.irfft(np.fft.rfft(pieces) * spectrum.conj(), cell)
    alike /= np.maximum(np.sqrt((pieces**2).sum(-1) * (usual**2).sum()), 1e-9)[..., None]
    near = np.concatenate([alike[..., -reach:], alike[..., : reach + 1]], -1)
    best = near.argmax(-1)
    inner = np.clip(best, 1, 2 * reach - 1)
    low, mid, high = (np.take_along_axis(near, (inner + by)[..., None], -1)[..., 0] for by in (-1, 0, 1))
    bend = low - 2 * mid + high
    part = np.where(bend < -1e-9, 0.5 * (low - high) / np.minimum(bend, -1e-9), 0)
    inside = (best == inner) & (best > 0) & (best < 2 * reach)
    return np.where(inside, inner + np.clip(part, -0.5, 0.5) - reach, 0.0), np.where(inside, mid, 0.0)


def _reach(own: Array, cell: int) -> int:
    """Pixels by which a piece may be carried without lying over the grid's next lines."""
    most = max(2, round(_MOST * cell))
    falls = np.flatnonzero(own[: cell // 2] < 0.3)
    if len(falls):
        again = np.flatnonzero(own[falls[0] : cell // 2 + 1] > _ALIKE)
        if len(again):
            most = min(most, int(falls[0] + again[0]) // 2)
    return max(2, most)


def _smooth(shift: Array, weight: Array) -> Array:
    """Shifts [r, c], each the mean of what is around it by how sure it is; 0 where nothing is sure for far around."""
    for width in (1, 2, 4):
        total, mass = _blurred(shift * weight, width), _blurred(weight, width)
        known = mass > 0.02
        filled = np.where(known, total / np.maximum(mass, 1e-9), 0)
        shift = filled if width == 1 else np.where(weight > 0, shift, filled)
        weight = np.where(weight > 0, weight, np.where(known, 0.05, 0))
    return shift


def _blurred(values: Array, width: int) -> Array:
    rows, columns = (_blur(count, width) for count in values.shape)
    blurred: Array = rows @ values @ columns
    return blurred


def _blur(count: int, width: int) -> Array:
    """Symmetric [count, count]: what each of so many squares in a line adds to each."""
    apart = np.arange(-2 * width, 2 * width + 1)
    most = np.exp(-((apart / (0.7 * width)) ** 2) / 2).sum()
    apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    blur: Array = np.where(apart <= 2 * width, np.exp(-((apart / (0.7 * width)) ** 2) / 2), 0) / most
    return blur
