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
_JOINT_MM = 0.7  # beside another lead


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
    """The leads of a page arranged so; mm_per_s, mm_per_mv: speed and gain where they are known."""
    speed, speed_from = _scale(mm_per_s, [one.width / _MARK_S for one in view.marks], SPEEDS, 25.0)
    gain, gain_from = _scale(mm_per_mv, [one.height for one in view.marks], _GAINS, 10.0)
    mv, promised = _placed(found, view, speed * PX_PER_MM, gain * PX_PER_MM)
    share = np.isfinite(mv).sum(1) / np.maximum(promised, 1)
    doubt = 1 - 0.5 * min(1.0, found.remainder / MOST_LEFT)
    return Signals(
        mv=mv,
        confidence=share * doubt,
        layout=found.layout.name,
        mm_per_s=speed,
        mm_per_mv=gain,
        speed_from=speed_from,
        gain_from=gain_from,
        remainder=found.remainder,
        turns=view.turns % 4,
        placed=found.placed,
        curves=view.curves,
    )


def _placed(found: Arrangement, view: View, px_per_s: float, px_per_mv: float) -> tuple[Array, Array]:
    """mV float32 [12, n], each lead at its seconds, NaN elsewhere; and how many samples the layout promises of each."""
    together = found.layout.simultaneous
    seconds = (view.right - view.left) / px_per_s / (max(map(len, found.layout.rows)) if together else 1)
    count = round(seconds * FS)
    mv, promised = np.full((len(LEADS), count), np.nan, np.float32), np.zeros(len(LEADS))
    for lead in found.placed:
        row = LEADS.index(lead.lead.removeprefix("-"))
        begin = 0 if together else round((lead.left - view.left) / px_per_s * FS)
        length = min(count - begin, round((lead.right - lead.left) / px_per_s * FS))
        promised[row] = max(promised[row], length)
        values = _values(lead, view, length, px_per_s) / px_per_mv
        own = mv[row, begin : begin + length]
        own[np.isfinite(values)] = values[np.isfinite(values)]
    return mv, promised


def _values(lead: Placed, view: View, length: int, px_per_s: float) -> Array:
    """Pixels [length] by which a lead's curve lies above its median; NaN in gaps and where it goes over into the next
    lead's."""
    at = lead.left + np.arange(length) * px_per_s / FS - 0.5
    values = _sampled(view.curves[lead.row], at)
    for side in (lead.left, lead.right):
        if view.left + PX_PER_MM < side < view.right - PX_PER_MM:
            values[np.abs(at - side) < _JOINT_MM * PX_PER_MM] = np.nan
    if np.isfinite(values).any():
        values = np.nanmedian(values) - values
    return -values if lead.lead.startswith("-") else values


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
