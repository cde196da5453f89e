"""From the runs that a path goes through to the middle line of the pen that drew them.

A pen is round: the upper edge of its line is the curve eroded by a disc, the lower edge the curve dilated by it (grey
morphology; Serra, Image Analysis and Mathematical Morphology, 1982). Undone, the upper edge gives the curve back but
for waves that point down and are narrower than the pen, the lower edge but for those that point up. On a steep
flank the run of one column is tall; both edges still agree there, to a part of a pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.page.digitizer.follow import Path
from edge_runtime.page.digitizer.runs import Runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM, Sheet
from edge_runtime.page.digitizer.strokes import with_tips

Array = np.ndarray[Any, Any]
_FLAT_MM = 1.2  # a run no higher is a piece of a line that goes across
_BRIDGED_MM = 1.6  # of paper in a curve that a straight line bridges
_BENT = 1.0  # pixels by which a curve leaves the straight line over the pen's width
_WING = 4  # pixels around a flat run's middle that its centre of mass is taken of


def curves(sheet: Sheet, runs: Runs, path: Path) -> Array:
    """Row of pixels of each curve in each column, float64 [r, w]; NaN in gaps."""
    top, bottom = with_tips(runs, path)
    height = bottom - top
    flat = height < _FLAT_MM * PX_PER_MM
    found = np.full(top.shape, np.nan)
    for row in range(len(top)):
        pen = float(np.median(height[row][flat[row]])) if flat[row].any() else 2.0
        line = _middle(_bridged(top[row]), _bridged(bottom[row]), max(1.0, pen / 2))
        thin = height[row] < 1.6 * pen
        line[thin] = _centre(sheet.ink, np.flatnonzero(thin), ((top + bottom) / 2)[row][thin])
        found[row] = line
    return found


def _bridged(values: Array) -> Array:
    """values [w] with short gaps filled by straight lines; the rest of the NaN stay."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return values
    filled = np.interp(np.arange(len(values)), known, values[known])
    after = np.searchsorted(known, np.arange(len(values)))
    before = np.clip(after - 1, 0, len(known) - 1)
    gap = known[np.minimum(after, len(known) - 1)] - known[before]
    inside = (np.arange(len(values)) >= known[0]) & (np.arange(len(values)) <= known[-1])
    return np.where(np.isfinite(values) | (inside & (gap <= _BRIDGED_MM * PX_PER_MM)), filled, np.nan)


def _middle(top: Array, bottom: Array, radius: float) -> Array:
    """The curve [w] between the edges of a pen's line."""
    reach = int(radius)
    upper, lower = np.full(top.shape, -np.inf), np.full(top.shape, np.inf)
    for away in range(-reach, reach + 1):
        rise = float(np.sqrt(radius**2 - away**2))
        upper = np.fmax(upper, _moved(top, away) + rise)
        lower = np.fmin(lower, _moved(bottom, away) - rise)
    upper, lower = (np.where(np.isfinite(top), edge, np.nan) for edge in (upper, lower))
    both = (upper + lower) / 2
    # A wave that points up is true in the upper edge, one that points down in the lower; on a flank both agree.
    bend = _moved(both, reach + 1) + _moved(both, -reach - 1) - 2 * both
    line = np.where(bend > _BENT, upper, np.where(bend < -_BENT, lower, both))
    return np.where(np.isfinite(top), np.where(np.isfinite(line), line, both), np.nan)


def _moved(values: Array, by: int) -> Array:
    """values [w], each from `by` columns to the right; NaN beyond the ends."""
    moved = np.full(values.shape, np.nan)
    if by >= 0:
        moved[: len(values) - by] = values[by:]
    else:
        moved[-by:] = values[:by]
    return moved


def _centre(ink: Array, columns: Array, middle: Array) -> Array:
    """Centres of mass [n] of the ink around `middle` [n] in some columns."""
    rows = np.clip(np.round(middle).astype(int)[:, None] + np.arange(-_WING, _WING + 1), 0, ink.shape[0] - 1)
    mass = ink[rows, columns[:, None]].astype(float) + 1e-6
    centre: Array = (mass * rows).sum(1) / mass.sum(1)
    return centre
