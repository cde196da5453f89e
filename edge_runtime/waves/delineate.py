"""Where each P, QRS and T begins, peaks and ends, lead by lead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.waves.net import CLASSES, Weights, log_probabilities
from edge_runtime.waves.prepare import FS, LEAST_FS, MOST_FS, Array, normalize, resample

# Seconds: shorter ones are none, and what lies closer together than JOIN is one.
_LEAST = {"P": 0.024, "QRS": 0.024, "T": 0.05}
_JOIN = 0.024
_LEAST_CONFIDENCE = 0.5
_REFRACTORY = 0.2  # no two QRS begin within it
_SHARED = 0.5  # of a lead's probabilities are those of all leads that show the same instant


@dataclass(frozen=True, slots=True)
class Wave:
    """onset, peak and offset in seconds after the signal's first sample; confidence: the mean probability, 0 to 1, that
    the network gives the wave's kind over its length."""

    kind: str
    onset: float
    peak: float
    offset: float
    confidence: float


Marks = tuple[tuple[Wave, ...], ...]  # of each lead, in the order of their onsets


def delineate(mv: Array, fs: float, weights: Weights | None = None) -> Marks:
    """The waves of each lead of a signal [leads, n] in mV, NaN where there is nothing, at 100 to 1000 samples a second.

    Leads are taken to be shown at the same time, column by column: what one lead leaves open, the others help to
    decide. Waves that the signal's end cuts off are left out. Raises UserError for another shape or rate.
    """
    check(mv, fs)
    signal, present = resample(mv, fs)
    flat = normalize(signal, present)
    probabilities = shared(np.exp(log_probabilities(flat, weights)), present)
    return tuple(map(waves, probabilities, present, flat))


def check(mv: Array, fs: float) -> None:
    """Raises UserError unless mv is [leads, n] and fs is a rate that the network was made for."""
    if mv.ndim != 2 or mv.shape[1] < 2:
        raise UserError(f"a signal of shape {list(mv.shape)}; give [leads, samples], two samples or more")
    if not LEAST_FS <= fs <= MOST_FS:
        raise UserError(f"{fs:g} samples a second; waves are found at {LEAST_FS:g} to {MOST_FS:g}, resample the signal")


def shared(probabilities: Array, present: Array, share: float = _SHARED) -> Array:
    """[leads, n, 4] with `share` of the mean over the leads that are present at each instant."""
    weight = present[..., None].astype(np.float32)
    together = (probabilities * weight).sum(0) / np.maximum(weight.sum(0), 1)
    return (1 - share) * probabilities + share * together


def waves(probabilities: Array, present: Array, flat: Array) -> tuple[Wave, ...]:
    """Of one lead: probabilities [n, 4], what is present [n], and its samples [n], all at 250 Hz."""
    found = {kind: list(_of_kind(kind, probabilities, present, flat)) for kind in CLASSES[1:]}
    beats = _apart(found["QRS"])
    after = _one_a_beat(found["T"], [beat.onset for beat in beats])
    return tuple(sorted([*found["P"], *beats, *after], key=lambda wave: wave.onset))


def _of_kind(kind: str, probabilities: Array, present: Array, flat: Array) -> Iterator[Wave]:
    which = CLASSES.index(kind)
    own = probabilities[:, which]
    lead_by = own - np.delete(probabilities, which, axis=1).max(1)
    for begin, end in _joined(runs((lead_by > 0) & present)):
        if begin == 0 or end == len(own) or not (present[begin - 1] and present[end]):
            continue
        onset = begin - _crossing(lead_by[begin], lead_by[begin - 1])
        offset = end - 1 + _crossing(lead_by[end - 1], lead_by[end])
        confidence = float(own[begin:end].mean())
        if offset - onset >= _LEAST[kind] * FS and confidence >= _LEAST_CONFIDENCE:
            peak = begin + _peak(flat[begin:end])
            yield Wave(kind, onset / FS, peak / FS, offset / FS, confidence)


def runs(true: Array) -> Array:
    """Begin and end, one past the last, of each stretch of True in [n]: int [k, 2]."""
    edges = np.flatnonzero(np.diff(true.astype(np.int8), prepend=0, append=0))
    return edges.reshape(-1, 2)


def _joined(found: Array) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for begin, end in found.tolist():
        if made and begin - made[-1][1] < _JOIN * FS:
            made[-1] = (made[-1][0], end)
        else:
            made.append((begin, end))
    return made


def _crossing(inside: float, outside: float) -> float:
    """Samples from the one inside to where a straight line to its neighbour outside is zero."""
    return float(inside / max(inside - outside, 1e-9)) if inside > 0 else 0.0


def _peak(part: Array) -> int:
    """Of the sample farthest from the line between the ends."""
    return int(np.argmax(np.abs(part - np.linspace(part[0], part[-1], len(part)))))


def _apart(beats: list[Wave]) -> list[Wave]:
    """Of two within the refractory time the one with more confidence."""
    kept: list[Wave] = []
    for beat in beats:
        if kept and beat.onset - kept[-1].onset < _REFRACTORY:
            kept[-1] = max(kept[-1], beat, key=lambda wave: wave.confidence)
        else:
            kept.append(beat)
    return kept


def _one_a_beat(found: list[Wave], onsets: Sequence[float]) -> list[Wave]:
    """The weightiest T between two beats."""
    kept = []
    for begin, end in pairwise([-np.inf, *onsets, np.inf]):
        between = [wave for wave in found if begin < wave.onset < end]
        if between:
            kept.append(max(between, key=lambda wave: wave.confidence * (wave.offset - wave.onset)))
    return kept
