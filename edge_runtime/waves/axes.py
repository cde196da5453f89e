"""What is measured of the samples between the marks: electrical axes, and the level of the ST segment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.waves.beats import Beat
from edge_runtime.waves.prepare import Array

# What a limb lead shows of a vector in the frontal plane, x to the left and y to the feet: Einthoven's triangle, with
# the augmented leads as half sums and half differences of the others.
_LIMB = np.array(
    [[1, 0], [0.5, 3**0.5 / 2], [-0.5, 3**0.5 / 2], [-0.75, -(3**0.5) / 4], [0.75, -(3**0.5) / 4], [0, 3**0.5 / 2]]
)
_LEAST_NET = 0.05  # of the area under |QRS|: a smaller vector has no direction
_LEVEL_S = (0.02, 0.004)  # before the QRS: where the signal is taken to be at zero
_ST_S = 0.06  # after the QRS's end
_AROUND_S = 0.01


def axis(mv: Array, fs: float, beats: Sequence[Beat], kind: str) -> float | None:
    """Degrees, -180 to 180, 0 to the left and 90 down, of the mean vector of "P", "QRS" or "T": by least squares from
    the net areas in the limb leads that show it, each the median over its beats. None where all of them lie along one
    line, or where the areas cancel out."""
    areas = [_areas(mv[lead], fs, beats, kind, lead) for lead in range(len(_LIMB))]
    shown = [lead for lead, (net, _) in enumerate(areas) if net is not None]
    if len(shown) < 2:
        return None
    net = np.array([areas[lead][0] for lead in shown], float)
    gross = np.array([areas[lead][1] for lead in shown], float)
    vector = np.linalg.lstsq(_LIMB[shown], net, rcond=None)[0]
    if np.hypot(*vector) < _LEAST_NET * gross.max():
        return None
    return float(np.degrees(np.arctan2(vector[1], vector[0])))


def _areas(signal: Array, fs: float, beats: Sequence[Beat], kind: str, lead: int) -> tuple[float | None, float]:
    """Net and absolute mV s of one lead [n], medians over its beats; None where it shows none."""
    found = []
    for beat in beats:
        ends = {"P": beat.p_ends, "QRS": (beat.onset, beat.offset), "T": beat.t_ends}[kind]
        if lead not in beat.qrs or ends is None:
            continue
        part = signal[max(int(ends[0] * fs), 0) : int(ends[1] * fs) + 1]
        zero = _zero(signal, fs, beat) if kind != "P" else _mean(signal, fs, ends[0] - _LEVEL_S[0], ends[0])
        if zero is not None and len(part) and np.isfinite(part).all():
            found.append(((part - zero).sum() / fs, np.abs(part - zero).sum() / fs))
    if not found:
        return None, 0.0
    net, gross = np.median(found, axis=0)
    return float(net), float(gross)


def st_level(mv: Array, fs: float, beats: Sequence[Beat], lead: int) -> float | None:
    """mV, 60 ms after the QRS's end and against the level before its onset, the median over the lead's beats."""
    found = []
    for beat in beats:
        if lead in beat.qrs:
            zero = _zero(mv[lead], fs, beat)
            at = beat.offset + _ST_S
            level = _mean(mv[lead], fs, at - _AROUND_S, at + _AROUND_S)
            if zero is not None and level is not None:
                found.append(level - zero)
    return float(np.median(found)) if found else None


def _zero(signal: Array, fs: float, beat: Beat) -> float | None:
    return _mean(signal, fs, beat.onset - _LEVEL_S[0], beat.onset - _LEVEL_S[1])


def _mean(signal: Array, fs: float, begin: float, end: float) -> float | None:
    """Of one sample or more from begin to end, in seconds; None where any is absent."""
    first = round(begin * fs)
    part = signal[max(first, 0) : max(round(end * fs), first) + 1]
    return float(part.mean()) if len(part) and np.isfinite(part).all() else None
