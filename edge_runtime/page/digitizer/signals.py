"""The leads of a page as signals in millivolts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.arrangement import Arrangement, Placed
from edge_runtime.page.digitizer.sheet import PX_PER_MM
from edge_runtime.page.digitizer.view import SPEEDS, View

Array = np.ndarray[Any, Any]
FS = 500.0
MOST_LEFT = 0.12  # of an arrangement's remainder, for its leads to be believed
_GAINS = (5.0, 10.0, 20.0)
_MARK_S = 0.2  # that a calibration mark lasts
_JOINT_MM = 0.7


@dataclass(frozen=True)
class Signals:
    """What a page shows of each lead.

    mv: float32 [12, n] in the order of LEADS, FS samples a second from the page's first second on; NaN where the page
    does not show a lead or it could not be read. confidence: [12], 0 to 1: the share of what the layout promises of a
    lead that was read, less the layout's own doubt. mm_per_s, mm_per_mv: as the calibration marks have them;
    speed_from, gain_from: "mark", "told" or "assumed". layout: its name, and remainder what of the limb leads' laws it
    leaves, 0 to 1. turns: quarter turns to the left by which the page had to be turned. placed, curves [r, w]: where
    the leads are on the page so turned, and its curves, in columns and rows of pixels, PX_PER_MM to a mm.
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


def signals(found: Arrangement, view: View, mm_per_s: float | None, mm_per_mv: float | None) -> Signals:
    speed, speed_from = _scale(mm_per_s, [one.width / _MARK_S for one in view.marks], SPEEDS, 25.0)
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
    doubt = 1 - 0.5 * min(1.0, found.remainder / MOST_LEFT)
    return Signals(
        mv,
        share * doubt,
        found.layout.name,
        speed,
        gain,
        speed_from,
        gain_from,
        found.remainder,
        view.turns % 4,
        found.placed,
        view.curves,
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
