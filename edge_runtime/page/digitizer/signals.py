"""The leads of a page as signals in millivolts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.arrangement import Arrangement, Placed, arrange
from edge_runtime.page.digitizer.bars import without_bars
from edge_runtime.page.digitizer.curve import curves
from edge_runtime.page.digitizer.follow import follow
from edge_runtime.page.digitizer.rows import rows
from edge_runtime.page.digitizer.runs import runs
from edge_runtime.page.digitizer.sheet import PX_PER_MM, Sheet, sheet
from edge_runtime.page.digitizer.strips import Mark, marks, stretch
from edge_runtime.page.layouts import LAYOUTS

Array = np.ndarray[Any, Any]
FS = 500.0
_SPEEDS, _GAINS = (25.0, 50.0), (5.0, 10.0, 20.0)
_MARK_S = 0.2  # that a calibration mark lasts
_USUAL_S = 10.0  # that a page shows
_NEAR_MM = 3.0  # of the usual length: it is that
_MOST_LEFT = 0.35  # of an arrangement's remainder
_LEAST_WAVES_MM = 1.0
_JOINT_MM = 0.7
_BARS_MM = 4.0
_SAME_MM = 2.0  # rows' marks and ends that stand as near are the same


@dataclass(frozen=True)
class Signals:
    """What a page shows of each lead.

    mv: float32 [12, n] in the order of LEADS, FS samples a second from the page's first second on; NaN where the page
    does not show a lead or it could not be read. confidence: [12], 0 to 1: the share of what the layout promises of a
    lead that was read, less the layout's own doubt. mm_per_s, mm_per_mv: as the calibration marks have them;
    speed_from, gain_from: "mark", "told" or "assumed". layout: its name, and remainder what of the limb leads' laws it
    leaves, 0 to 1. turns: quarter turns to the left by which the page had to be turned. placed, curves [r, w]: where the
    leads are on the page so turned, and its curves, in columns and rows of pixels, PX_PER_MM to a mm.
    """

    mv: Array
    confidence: Array
    layout: str
    mm_per_s: float
    mm_per_mv: float
    speed_from: str
    gain_from: str
    remainder: float
    turns: int
    placed: tuple[Placed, ...]
    curves: Array

    @property
    def read(self) -> tuple[str, ...]:
        """The leads of which something was read."""
        return tuple(lead for lead, values in zip(LEADS, self.mv, strict=True) if np.isfinite(values).any())


@dataclass(frozen=True)
class _View:
    """A page's curves the one way or the other up."""

    curves: Array
    lines: Array
    marks: tuple[Mark, ...]
    left: float
    right: float
    turns: int


def digitize(
    page: Array, sure: Array, *, layout: str | None = None, mm_per_s: float | None = None, mm_per_mv: float | None = None
) -> Signals | None:
    """The signals on an evenly lit flat page uint8 [h, w, 3], PX_PER_MM pixels a mm, whichever way up it lies.

    layout: the name of one where it is known; mm_per_s, mm_per_mv: speed and gain where they are known. None where no
    curves are seen, or no layout explains them.
    """
    views = _views(sheet(page, sure))
    layouts = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    best: tuple[Arrangement, _View] | None = None
    for view in views:
        found = arrange(view.curves, view.lines, view.left, view.right, layouts)
        if found is not None and (best is None or found.cost < best[0].cost):
            best = found, view
    if best is None or (layout is None and best[0].remainder > _MOST_LEFT):
        return None
    return _signals(*best, mm_per_s, mm_per_mv)


def _views(page: Sheet) -> list[_View]:
    """The curves of a page, its rows lying across it; upside down too where no mark says which way up it is."""
    turned = Sheet(np.ascontiguousarray(np.rot90(page.ink)))
    across, down = rows(page), rows(turned)
    ink, lines, turns = (turned, down[0], 1) if down[1] > across[1] else (page, across[0], 0)
    if len(lines) == 0:
        return []
    high, wide = ink.ink.shape
    before, after = marks(ink.mask, lines), marks(ink.mask[::-1, ::-1], high - 1 - lines[::-1])
    if len(after) > len(before):
        ink, lines, turns, before = Sheet(ink.ink[::-1, ::-1]), high - 1 - lines[::-1], turns + 2, after
    if before:  # what stands before the leads is no part of them
        ink.ink[:, : round(float(np.median([one.end for one in before])))] = 0
    pieces, bars = without_bars(runs(ink), lines)
    path = follow(pieces, lines)
    reach = [stretch(dark) for dark in _darkness(ink, path.take((pieces.top + pieces.bottom) / 2))]
    found = curves(ink, pieces, path)
    alive = [row for row, ends in enumerate(reach) if ends is not None and _alive(found[row, ends[0] : ends[1] + 1])]
    reach, found, lines = [reach[row] for row in alive], found[alive], lines[alive]
    for curve, (first, last) in zip(found, reach, strict=True):
        curve[:first], curve[last + 1 :] = np.nan, np.nan
    upright = _view(found, lines, reach, bars, before, turns)
    if before:
        return [upright] if upright is not None else []
    over = [(wide - 1 - last, wide - 1 - first) for first, last in reach[::-1]]
    upside = _view(high - 1 - found[::-1, ::-1], high - 1 - lines[::-1], over, wide - bars[::-1], [], turns + 2)
    return [view for view in (upright, upside) if view is not None]


def _darkness(sheet: Sheet, middle: Array) -> Array:
    """The darkest ink around rows of pixels [r, w], NaN where they are."""
    at = np.nan_to_num(middle).astype(int)
    columns = np.arange(middle.shape[1])
    dark = np.max([sheet.ink[np.clip(at + by, 0, sheet.ink.shape[0] - 1), columns] for by in (-2, -1, 0, 1, 2)], axis=0)
    return np.where(np.isfinite(middle), dark, np.nan)


def _alive(curve: Array) -> bool:
    """Whether a curve has waves; the frame of a page has none."""
    known = curve[np.isfinite(curve)]
    return len(known) > 10 * PX_PER_MM and float(np.ptp(np.percentile(known, [0.5, 99.5]))) > _LEAST_WAVES_MM * PX_PER_MM


def _view(
    found: Array, lines: Array, reach: list[tuple[int, int]], bars: Array, before: list[Mark], turns: int
) -> _View | None:
    ends = _ends(reach, float(np.median([one.end for one in before])) if before else None)
    return None if ends is None else _View(found, lines, tuple(before), *_by_bars(bars, *ends), turns)


def _by_bars(bars: Array, left: float, right: float) -> tuple[float, float]:
    """The ends as bars between equally wide columns have them, where they nearly agree."""
    inside = bars[(bars > left + 5 * PX_PER_MM) & (bars < right - 5 * PX_PER_MM)]
    if len(inside) < 2:
        return _by_length(left, right)
    wide, first = np.polyfit(np.arange(len(inside)), inside, 1)
    ends = float(first - wide), float(first + wide * len(inside))
    agree = abs(ends[0] - left) < _BARS_MM * PX_PER_MM and abs(ends[1] - right) < _BARS_MM * PX_PER_MM
    return ends if agree else _by_length(left, right)


def _by_length(left: float, right: float) -> tuple[float, float]:
    """The ends of ten seconds where they are nearly so: a mark's foot is no part of them."""
    for speed in _SPEEDS:
        if abs((right - left) / PX_PER_MM - _USUAL_S * speed) < _NEAR_MM:
            return right - _USUAL_S * speed * PX_PER_MM, right
    return left, right


def _ends(reach: list[tuple[int, int]], begin: float | None) -> tuple[float, float] | None:
    """Where the rows begin and end: as most of them do, those before others whose length is that of ten seconds. begin:
    where their calibration marks end."""
    best, found = 0.0, None
    if begin is not None:
        reach = [(round(max(begin, first)), last) for first, last in reach]
    starts, stops = (sorted({ends[side] for ends in reach}) for side in (0, 1))
    for start in starts:
        for stop in stops:
            same = [sorted(e[side] for e in reach if abs(e[side] - at) < _SAME_MM * PX_PER_MM) for side, at in ((0, start), (1, stop))]
            length = (same[1][len(same[1]) // 2] + 1 - same[0][len(same[0]) // 2]) / PX_PER_MM
            usual = any(abs(length - _USUAL_S * speed) < _NEAR_MM for speed in _SPEEDS)
            votes = len(same[0]) + len(same[1]) + usual * len(reach)
            if length > 20 and votes > best:
                best = votes
                found = float(same[0][len(same[0]) // 2]), float(same[1][len(same[1]) // 2] + 1)
    return found


def _signals(found: Arrangement, view: _View, mm_per_s: float | None, mm_per_mv: float | None) -> Signals:
    speed, speed_from = _scale(mm_per_s, [one.width / _MARK_S for one in view.marks], _SPEEDS, 25.0)
    gain, gain_from = _scale(mm_per_mv, [one.height for one in view.marks], _GAINS, 10.0)
    per_second = speed * PX_PER_MM
    first = view.left
    seconds = (view.right - first) / per_second
    if found.layout.simultaneous:
        seconds /= max(len(leads) for leads in found.layout.rows)
    count = round(seconds * FS)
    mv, promised = np.full((len(LEADS), count), np.nan, np.float32), np.zeros(len(LEADS))
    for lead in found.placed:
        sign, name = (-1, lead.lead[1:]) if lead.lead.startswith("-") else (1, lead.lead)
        begin = 0 if found.layout.simultaneous else round((lead.left - first) / per_second * FS)
        length = min(count - begin, round((lead.right - lead.left) / per_second * FS))
        at = lead.left + np.arange(length) * per_second / FS - 0.5
        values = _sampled(view.curves[lead.row], at)
        inner = [side for side in (lead.left, lead.right) if first + PX_PER_MM < side < view.right - PX_PER_MM]
        for side in inner:  # where one lead's line goes over into the next one's
            values[np.abs(at - side) < _JOINT_MM * PX_PER_MM] = np.nan
        if not np.isfinite(values).any():
            continue
        values = -sign * (values - np.nanmedian(values)) / (gain * PX_PER_MM)
        row = LEADS.index(name)
        own = mv[row, begin : begin + length]
        own[np.isfinite(values)] = values[np.isfinite(values)]
        promised[row] = max(promised[row], length)
    share = np.isfinite(mv).sum(1) / np.maximum(promised, 1)
    doubt = 1 - 0.5 * min(1.0, found.remainder / _MOST_LEFT)
    return Signals(
        mv, share * doubt, found.layout.name, speed, gain, speed_from, gain_from, found.remainder, view.turns % 4,
        found.placed, view.curves,
    )


def _scale(told: float | None, measured: list[float], usual: tuple[float, ...], assumed: float) -> tuple[float, str]:
    """Speed or gain, and where it is from: the usual one near what most marks say."""
    if told is not None:
        return told, "told"
    if measured:
        value = float(np.median(measured))
        near = min(usual, key=lambda one: abs(np.log(value / one)))
        if abs(value / near - 1) < 0.2:
            return near, "mark"
    return assumed, "assumed"


def _sampled(curve: Array, at: Array) -> Array:
    """The curve [w] at fractions of columns, NaN in its gaps."""
    left = np.clip(np.floor(at).astype(int), 0, len(curve) - 2)
    part = np.clip(at - left, 0, 1)
    values: Array = curve[left] * (1 - part) + curve[left + 1] * part
    return values
