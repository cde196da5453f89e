"""How near a signal read from a page comes to the record: the signal-to-noise ratio of PhysioNet's Challenge 2024.

10 log10 of the power of the record's lead over that of the difference, in decibels; what was not read counts as 0 mV
(https://physionetchallenges.org/2024). A page tells neither when it begins nor where 0 mV lies, so that a shift of up
to 0.2 s and a constant are fitted first, as the Challenge's successor of 2025 does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_SHIFT_S = 0.2
_COARSE = 5  # samples a step of the first search
_FEWEST = 25  # samples of a lead that say anything


class Nearness(NamedTuple):
    """snr: decibels, 0 where nothing was read. correlation: of the samples that were read, 0 to 1; None without any."""

    snr: float
    correlation: float | None


def nearness(record: np.ndarray, record_fs: float, read: np.ndarray, fs: float) -> Nearness:
    """Of one lead: record [m] in mV from the page's first second on, read [n] in mV with NaN where nothing was read."""
    at = np.flatnonzero(np.isfinite(read))
    if len(at) < _FEWEST:
        return Nearness(0.0, None)
    span = np.arange(at[0], at[-1] + 1)
    known = np.isfinite(read[span])
    seconds = np.arange(len(record)) / record_fs
    reach = round(_SHIFT_S * fs)

    def shifted(by: int) -> Nearness:
        true = np.interp((span + by) / fs, seconds, record)
        true = true - true.mean()
        own = np.where(known, read[span] - read[span][known].mean() + true[known].mean(), 0.0)
        noise = float(((true - own) ** 2).sum())
        snr = 10 * np.log10(max(float((true**2).sum()), 1e-12) / max(noise, 1e-12))
        return Nearness(float(snr), _correlation(true[known], own[known]))

    coarse = max(range(-reach, reach + 1, _COARSE), key=lambda by: shifted(by).snr)
    near = range(max(-reach, coarse - _COARSE), min(reach, coarse + _COARSE) + 1)
    return max((shifted(by) for by in near), key=lambda found: found.snr)


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return max(0.0, float(np.corrcoef(a, b)[0, 1]))
