"""Twelve leads as the network of signals takes them: ten seconds at 100 samples a second, and which are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.leads import LEADS
from edge_runtime.recording import Recording

Array = np.ndarray[Any, Any]
FS = 100.0
SAMPLES = 1024
ROWS = 2 * len(LEADS)
_MOST_MV = 8.0  # what stands out further is no heart
_SEAM_S = 1e-6


def signal_input(recording: Recording) -> Array:
    """float32 [24, 1024]: each lead around its median, 0 where nothing is known; then 1 where something is, and 0.

    A new sample is the mean of the old ones in its hundredth of a second, or lies between two where they are rarer.
    What comes after the first 10.24 s is left out.
    """
    mv, fs = recording.mv, recording.fs
    values = _at_rate(np.asarray(mv, np.float64)[:, : int(np.ceil(SAMPLES / FS * fs))], fs)[:, :SAMPLES]
    known = np.isfinite(values)
    out = np.zeros((ROWS, SAMPLES), np.float32)
    for row, (lead, there) in enumerate(zip(values, known, strict=True)):
        if there.any():
            around = lead[there] - np.median(lead[there])
            out[row, np.flatnonzero(there)] = np.clip(around, -_MOST_MV, _MOST_MV)
    out[len(LEADS) :, : known.shape[1]] = known
    return out


def _at_rate(mv: Array, fs: float) -> Array:
    if fs == FS:
        return mv
    if fs < FS:
        at = np.arange(0, mv.shape[1] / fs - _SEAM_S, 1 / FS)
        own = np.arange(mv.shape[1]) / fs
        return np.stack([np.interp(at, own, lead) for lead in mv])  # NaN next to a sample makes it unknown
    cell = np.floor(np.arange(mv.shape[1]) * FS / fs + _SEAM_S).astype(int)
    begins = np.flatnonzero(np.diff(cell, prepend=-1))
    there = np.isfinite(mv)
    count = np.add.reduceat(there, begins, axis=1, dtype=np.int64)
    total = np.add.reduceat(np.where(there, mv, 0), begins, axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
