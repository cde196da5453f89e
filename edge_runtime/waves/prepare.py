"""A signal of any rate, with gaps, as the network wants it: 250 Hz, no baseline, unit size. Training does the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FS = 250.0
LEAST_FS, MOST_FS = 100.0, 1000.0
_LOBES = 3  # of the Lanczos kernel
_BASELINE_S = 1.0  # the moving mean that is taken away
_LEAST_RMS = 0.03  # mV; a flat line's noise is not blown up to the size of beats


def resample(mv: Array, fs: float, to: float = FS) -> tuple[Array, Array]:
    """Samples [leads, n] at fs as float32 [leads, m] at `to`, the first at the same instant; and bool [leads, m], what
    is present. Lanczos interpolation, widened where the rate falls; NaN are bridged by straight lines before and
    reported absent after."""
    known = np.isfinite(mv)
    filled = bridge(np.asarray(mv, np.float32), known)
    size = mv.shape[1]
    if fs == to:
        return filled, known
    at = np.arange(int(np.floor((size - 1) * to / fs + 1e-9)) + 1) * (fs / to)
    nearest = np.clip(np.rint(at).astype(int), 0, size - 1)
    stretch = max(1.0, fs / to)
    reach = int(np.ceil(_LOBES * stretch))
    taps = np.floor(at).astype(int)[:, None] + np.arange(1 - reach, reach + 1)
    offset = (taps - at[:, None]) / stretch
    weights = np.sinc(offset) * np.sinc(offset / _LOBES) * (np.abs(offset) < _LOBES)
    weights /= weights.sum(1, keepdims=True)
    within = np.clip(taps, 0, size - 1)
    made = np.zeros((len(mv), len(at)), np.float32)
    for tap in range(taps.shape[1]):
        made += filled[:, within[:, tap]] * weights[:, tap].astype(np.float32)
    return made, known[:, nearest]


def bridge(mv: Array, known: Array) -> Array:
    """Straight lines over what is absent, the nearest sample beyond the ends; 0 where a lead has nothing."""
    if known.all():
        return mv
    filled = np.zeros_like(mv)
    steps = np.arange(mv.shape[1])
    for lead, there in enumerate(known):
        if there.any():
            filled[lead] = np.interp(steps, steps[there], mv[lead, there])
    return filled


def normalize(mv: Array, present: Array, fs: float = FS) -> Array:
    """float32 [leads, m]: less its moving mean over a second, over its own root mean square; 0 where absent."""
    window = int(_BASELINE_S * fs)
    weight = present.astype(np.float32)
    level = _moving_sum(mv * weight, window) / np.maximum(_moving_sum(weight, window), 1)
    flat = (mv - level) * weight
    rms = np.sqrt((flat**2).sum(1) / np.maximum(weight.sum(1), 1))
    return np.asarray(flat / np.maximum(rms, _LEAST_RMS)[:, None], np.float32)


def _moving_sum(values: Array, window: int) -> Array:
    """Centred, of what there is near the ends."""
    half = window // 2
    sums = np.cumsum(np.pad(values, ((0, 0), (half + 1, half))), axis=1, dtype=np.float64)
    return sums[:, 2 * half + 1 :] - sums[:, : -(2 * half + 1)]
