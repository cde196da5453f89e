"""How noisy the leads are that were read of a page: a baseline that drifts, and a trace that trembles.

PTB-XL's annotators marked both, lead by lead (columns baseline_drift and static_noise; Wagner et al. 2020). The limits
are those that agree best with their marks on pages of records of folds 1 to 8 (docs/ecgqa.md); bursts and faults of the
electrodes did not agree with anything that was measured.
"""

from __future__ import annotations

import numpy as np

from edge_runtime.leads import LEADS
from edge_runtime.waves.prepare import Array

FS = 500.0  # samples a second of signals that are read of a page
# mV from which on it is noise: in a lead that is asked about, and in the worst of all leads.
NOISE = {"drift": (0.5, 0.8), "static": (0.007, 0.02)}
_BASELINE_S = 0.6
_TREMOR_S = 0.06
_WINDOW_S = 0.1
_QUIET = 0.2  # share of windows that are quiet: waves are no noise
_LEAST_S = 1.0


def noise_mv(kind: str, mv: Array, lead: str = "") -> float | None:
    """Of a signal [12, n] in mV, NaN where there is nothing, 500 samples a second. "drift": how far the baseline goes;
    "static": deviation of what is faster than the waves, where the trace is quiet. lead: of this one, "": the largest
    of all. None where no second of it was read."""
    rows = mv if not lead else mv[[LEADS.index(lead)]]
    found = [value for row in rows if (value := _of_lead(kind, row[np.isfinite(row)])) is not None]
    return max(found) if found else None


def _of_lead(kind: str, row: Array) -> float | None:
    if len(row) < _LEAST_S * FS:
        return None
    if kind == "drift":
        return float(np.ptp(_mean(_mean(row, _BASELINE_S), _BASELINE_S)))
    fast = row - _mean(row, _TREMOR_S)
    return float(np.sqrt(np.quantile(_mean(fast**2, _WINDOW_S), _QUIET)))


def _mean(row: Array, seconds: float) -> Array:
    """Around each sample; the first and the last one go on at the ends."""
    half = int(seconds * FS) // 2
    return np.convolve(np.pad(row, half, mode="edge"), np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
