"""The rows of curves on a page: lines of ink that go on across it where letters and marks do not."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page import light
from edge_runtime.page.digitizer.sheet import PX_PER_MM, Sheet

Array = np.ndarray[Any, Any]
_LONG_MM = 4.0  # a piece of a curve stays within a band for so long somewhere; a letter does not
_BAND_MM = 1.5
_NEAR_MM = 4.0  # of a row's line: where most of its flat pieces lie
_APART_MM = 9.0  # rows stand at least so far from each other
_LEAST_MM = 25.0  # of flat pieces in a row
_MOST = 16  # rows
_FEWEST = 3
_DARK = 70  # of ink, where the pen draws 150: what the grid leaves is paler
_SHARE = 0.25  # of those of the fullest row


def rows(sheet: Sheet) -> tuple[Array, float]:
    """Rows of pixels [r], from the top: the line that each row of curves keeps to; and how many columns the fullest
    of them fill."""
    flat = flat_pieces(sheet.ink >= _DARK)
    near, apart = round(_NEAR_MM * PX_PER_MM), round(_APART_MM * PX_PER_MM)
    left = _smooth(flat.sum(1).astype(float))
    found: list[int] = []
    while len(found) < _MOST and left.max() > 0:
        row = int(np.argmax(left))
        found.append(row)
        left[max(0, row - apart) : row + apart] = 0
    cover = np.array([flat[max(0, row - near) : row + near].any(0).sum() for row in found], float)
    kept = cover >= max(_LEAST_MM * PX_PER_MM, _SHARE * cover.max(initial=0))
    return np.sort(np.array(found, float)[kept]), float(np.sort(cover)[-_FEWEST:].sum())


def flat_pieces(mask: Array) -> Array:
    """bool [h, w]: the pixels of ink that a run of ink across the page goes through, within a band."""
    band, length = round(_BAND_MM * PX_PER_MM), round(_LONG_MM * PX_PER_MM)
    thick = light.brightest(mask.astype(np.uint8), band, 0)
    long = light.brightest(light.darkest(thick, length, 1), length, 1)
    return mask & (long > 0)


def _smooth(values: Array) -> Array:
    reach = np.arange(-3 * PX_PER_MM, 3 * PX_PER_MM + 1)
    return np.convolve(values, np.exp(-((reach / PX_PER_MM) ** 2) / 2), "same")
