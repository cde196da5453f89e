"""What a recorder prints above an ECG: rate, intervals, axes, ST levels, measured on twelve leads or parts of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS
from edge_runtime.waves.axes import axis, st_level
from edge_runtime.waves.beats import Beat, beats
from edge_runtime.waves.delineate import Marks, delineate
from edge_runtime.waves.prepare import Array

_LEAST_BEATS = 2  # that show an interval
_P_BEATS = 0.6  # share of beats that must have a P before a PR is given,
_P_LEADS = 0.55  # and of all QRS marks of all leads, those with a P before them
_PR_SPREAD_S = 0.03  # a PR that varies more (deviation, from the median absolute one) is none


@dataclass(frozen=True)
class Measurements:
    """Of one ECG; None where it cannot be had, and leads without beats are not in st_mv.

    rate_bpm: 60 over the mean RR interval in seconds. rr_cv: standard deviation of RR over its mean, of three intervals
    or more; above about 0.1 a rhythm is irregular. pr_ms, qrs_ms, qt_ms: medians over beats, from the first lead's
    onset to the last lead's offset. Axes in degrees, -180 to 180. st_mv: lead -> mV at 60 ms after the QRS.
    """

    rate_bpm: float | None = None
    rr_cv: float | None = None
    pr_ms: float | None = None
    qrs_ms: float | None = None
    qt_ms: float | None = None
    p_axis_deg: float | None = None
    qrs_axis_deg: float | None = None
    t_axis_deg: float | None = None
    st_mv: dict[str, float] = field(default_factory=dict)

    @property
    def qtc_bazett_ms(self) -> float | None:
        """QT over the square root of RR in seconds (Bazett 1920)."""
        return self._corrected(1 / 2)

    @property
    def qtc_fridericia_ms(self) -> float | None:
        """QT over the cube root of RR in seconds (Fridericia 1920)."""
        return self._corrected(1 / 3)

    def _corrected(self, power: float) -> float | None:
        return None if self.qt_ms is None or self.rate_bpm is None else self.qt_ms * (self.rate_bpm / 60) ** power

    def as_json(self) -> dict[str, Any]:
        """Every key, null where it cannot be had; rounded to what is worth printing."""
        whole = ("rate_bpm", "pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms", "qtc_fridericia_ms")
        degrees = ("p_axis_deg", "qrs_axis_deg", "t_axis_deg")
        made: dict[str, Any] = {name: _rounded(getattr(self, name), 0) for name in (*whole, *degrees)}
        made["rr_cv"] = _rounded(self.rr_cv, 3)
        made["st_mv"] = {lead: round(level, 3) for lead, level in self.st_mv.items()}
        return made


def _rounded(value: float | None, places: int) -> float | int | None:
    return None if value is None else round(value, places) if places else round(value)


def measure(mv: Array, fs: float) -> Measurements:
    """Of a signal [12, n] in mV, leads in the order of LEADS, NaN where there is nothing, 100 to 1000 samples a second.

    The leads need not show the same seconds, as on a printed page. Raises UserError for another shape or rate.
    """
    if mv.ndim != 2 or len(mv) != len(LEADS):
        raise UserError(f"a signal of shape {list(mv.shape)}; give [12, samples], NaN where a lead shows nothing")
    return measured(mv, fs, delineate(mv, fs))


def measured(mv: Array, fs: float, marks: Marks) -> Measurements:
    """As `measure`, of marks that are there already."""
    present = np.isfinite(mv)
    found = beats(marks, present, fs)
    rr = np.array(list(_rr(found, present, fs)))
    if len(rr) < _LEAST_BEATS:
        return Measurements()
    levels = {name: st_level(mv, fs, found, lead) for lead, name in enumerate(LEADS)}
    pr = _pr(found)
    return Measurements(
        rate_bpm=60 / float(rr.mean()),
        rr_cv=float(rr.std() / rr.mean()) if len(rr) > 2 else None,
        pr_ms=pr,
        qrs_ms=_median_ms([beat.offset - beat.onset for beat in found]),
        qt_ms=_median_ms([t[1] - beat.onset for beat in found if (t := beat.t_ends)]),
        p_axis_deg=None if pr is None else axis(mv, fs, found, "P"),
        qrs_axis_deg=axis(mv, fs, found, "QRS"),
        t_axis_deg=axis(mv, fs, found, "T"),
        st_mv={name: level for name, level in levels.items() if level is not None},
    )


def _rr(found: Sequence[Beat], present: Array, fs: float) -> Iterator[float]:
    """Seconds between neighbours that a lead shows without a gap: from one column to the next is no interval."""
    for one, other in pairwise(found):
        shared = one.qrs.keys() & other.qrs.keys()
        both = [lead for lead in shared if present[lead, int(one.onset * fs) : int(other.onset * fs)].all()]
        if both:
            yield median(other.qrs[lead].onset - one.qrs[lead].onset for lead in both)


def _pr(found: Sequence[Beat]) -> float | None:
    """None where most beats have no P before them, or not at a steady distance: fibrillation, dissociation."""
    lengths = np.array([beat.onset - p[0] for beat in found if (p := beat.p_ends)])
    if len(lengths) < max(_LEAST_BEATS, _P_BEATS * len(found)):
        return None
    if sum(len(beat.p) for beat in found) < _P_LEADS * sum(len(beat.qrs) for beat in found):
        return None
    spread = 1.4826 * np.median(np.abs(lengths - np.median(lengths)))
    return None if spread > _PR_SPREAD_S else _median_ms(lengths)


def _median_ms(lengths: Sequence[float] | Array) -> float | None:
    return 1000 * float(np.median(lengths)) if len(lengths) >= _LEAST_BEATS else None
