"""A page's curves the right way up: its rows, where they begin and end, and its calibration marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page.digitizer.bars import without_bars
from edge_runtime.page.digitizer.curve import curves
from edge_runtime.page.digitizer.follow import follow
from edge_runtime.page.digitizer.rows import rows
from edge_runtime.page.digitizer.runs import runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM, Sheet
from edge_runtime.page.digitizer.strips import Mark, marks, stretch
from edge_runtime.page.together import together

Array = np.ndarray[Any, Any]
SPEEDS = (25.0, 50.0)  # mm/s
_USUAL_S = 10.0  # that a page shows
_NEAR_MM = 3.0  # of the usual length: it is that
_LEAST_WAVES_MM = 1.0
_BARS_MM = 4.0  # by which the ends that bars tell may leave those that are seen
_SAME_MM = 2.0  # ends of rows that stand as near are the same
_LEAST_MM = 20.0  # of a row


@dataclass(frozen=True)
class View:
    """A page's curves the one way or the other up.

    curves [r, w] and lines [r]: rows of pixels; marks: of calibration, before the rows; left, right: where the rows
    begin and end, in columns; turns: quarter turns to the left by which the page was turned.
    """

    curves: Array
    lines: Array
    marks: tuple[Mark, ...]
    left: float
    right: float
    turns: int


def views(page: Sheet) -> list[View]:
    """The curves of a page, its rows lying across it; upside down too where no mark says which way up it is."""
    across, down = together(lambda turns: _rows(page, turns), (0, 1))
    ink, (lines, _), turns = down if down[1][1] > across[1][1] else across
    if len(lines) == 0:
        return []
    high, wide = ink.ink.shape
    mask = ink.mask
    before, after = together(lambda way: marks(*way), [(mask, lines), (mask[::-1, ::-1], high - 1 - lines[::-1])])
    if len(after) > len(before):
        ink, lines, turns, before = Sheet(ink.ink[::-1, ::-1]), high - 1 - lines[::-1], turns + 2, after
    if before:  # what stands before the leads is no part of them
        ink.ink[:, : round(float(np.median([one.end for one in before])))] = 0
    pieces, bars = without_bars(runs(ink), lines)
    path = follow(pieces, lines)
    found = curves(ink, pieces, path)
    reach: list[tuple[int, int]] = []
    alive: list[int] = []
    for row, dark in enumerate(_darkness(ink, path.take((pieces.top + pieces.bottom) / 2))):
        ends = stretch(dark)
        if ends is not None and _alive(found[row, ends[0] : ends[1] + 1]):
            reach.append(ends)
            alive.append(row)
            found[row, : ends[0]], found[row, ends[1] + 1 :] = np.nan, np.nan
    found, lines = found[alive], lines[alive]
    both = [_view(found, lines, reach, bars, before, turns)]
    if len(before) == len(after):
        over = [(wide - 1 - last, wide - 1 - first) for first, last in reach[::-1]]
        upside = high - 1 - found[::-1, ::-1]
        both.append(_view(upside, high - 1 - lines[::-1], over, wide - bars[::-1], after, turns + 2))
    return [view for view in both if view is not None]


def _rows(page: Sheet, turns: int) -> tuple[Sheet, tuple[Array, float], int]:
    """The page after quarter turns to the left, what `rows` finds on it, and the turns."""
    turned = Sheet(np.ascontiguousarray(np.rot90(page.ink, turns)))
    return turned, rows(turned), turns


def _darkness(sheet: Sheet, middle: Array) -> Array:
    """The darkest ink around rows of pixels [r, w], NaN where they are."""
    at = np.nan_to_num(middle).astype(int)
    columns = np.arange(middle.shape[1])
    dark = np.max([sheet.ink[np.clip(at + by, 0, sheet.ink.shape[0] - 1), columns] for by in (-2, -1, 0, 1, 2)], axis=0)
    return np.where(np.isfinite(middle), dark, np.nan)


def _alive(curve: Array) -> bool:
    """Whether a curve has waves; the frame of a page has none."""
    known = curve[np.isfinite(curve)]
    if len(known) < _LEAST_MM * PX_PER_MM / 2:
        return False
    low, high = np.percentile(known, [0.5, 99.5])
    return float(high - low) > _LEAST_WAVES_MM * PX_PER_MM


def _view(
    found: Array, lines: Array, reach: list[tuple[int, int]], bars: Array, before: list[Mark], turns: int
) -> View | None:
    ends = _ends(reach, float(np.median([one.end for one in before])) if before else None)
    return None if ends is None else View(found, lines, tuple(before), *_by_bars(bars, *ends), turns)


def _by_bars(bars: Array, left: float, right: float) -> tuple[float, float]:
    """The ends as bars between equally wide columns have them, where they nearly agree."""
    inside = bars[(bars > left + 5 * PX_PER_MM) & (bars < right - 5 * PX_PER_MM)]
    if len(inside) < 2:
        return _by_length(left, right)
    wide, first = np.polyfit(np.arange(len(inside)), inside, 1)
    ends = float(first - wide), float(first + wide * len(inside))
    agree = abs(ends[0] - left) < _BARS_MM * PX_PER_MM and abs(ends[1] - right) < _BARS_MM * PX_PER_MM
    # Three bars that stand evenly and make ten seconds are surer than what a row seems to end in.
    even = len(inside) > 2 and np.ptp(np.diff(inside)) < PX_PER_MM
    return ends if agree or (even and _is_usual((ends[1] - ends[0]) / PX_PER_MM)) else _by_length(left, right)


def _is_usual(mm: float) -> bool:
    """Whether it is the length of ten seconds."""
    return any(abs(mm - _USUAL_S * speed) < _NEAR_MM for speed in SPEEDS)


def _by_length(left: float, right: float) -> tuple[float, float]:
    """The ends of ten seconds where they are nearly so: a mark's foot is no part of them."""
    for speed in SPEEDS:
        if abs((right - left) / PX_PER_MM - _USUAL_S * speed) < _NEAR_MM:
            return right - _USUAL_S * speed * PX_PER_MM, right
    return left, right


def _ends(reach: list[tuple[int, int]], begin: float | None) -> tuple[float, float] | None:
    """Where the rows begin and end: as most of them do, those before others whose length is that of ten seconds. begin:
    where their calibration marks end."""
    starts = [first if begin is None else max(begin, first) for first, _ in reach]
    stops = [last + 1 for _, last in reach]
    best, found = 0, None
    for start in sorted(set(starts)):
        for stop in sorted(set(stops)):
            left, right = _like(starts, start), _like(stops, stop)
            length = (_middle(right) - _middle(left)) / PX_PER_MM
            usual = _is_usual(length)
            votes = len(left) + len(right) + usual * len(reach)
            if length > _LEAST_MM and votes > best:
                best, found = votes, (_middle(left), _middle(right))
    return found


def _like(values: Sequence[float], value: float) -> list[float]:
    return sorted(one for one in values if abs(one - value) < _SAME_MM * PX_PER_MM)


def _middle(values: list[float]) -> float:
    return float(values[len(values) // 2])
