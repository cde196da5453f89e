"""Signals to files that other programs read: WFDB and a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from edge_runtime.leads import LEADS

_PER_MV = 1000.0  # a step of the WFDB file is a microvolt
_HIGHEST = 32.0  # mV that 16 bits hold of them


def write_signals(folder: Path, name: str, mv: np.ndarray, fs: float) -> list[str]:
    """Write `name`.hea, .dat and .csv into a folder; returns the leads that are in them, the others have no sample.

    mv: [12, n] in the order of LEADS, NaN where there is nothing: WFDB's invalid sample, and an empty field.
    """
    import wfdb

    shown = [row for row in range(len(LEADS)) if np.isfinite(mv[row]).any()]
    leads = [LEADS[row] for row in shown]
    samples = np.clip(mv[shown].T.astype(np.float64), -_HIGHEST, _HIGHEST)
    count = len(leads)
    wfdb.wrsamp(
        name,
        fs=fs,
        units=["mV"] * count,
        sig_name=leads,
        p_signal=samples,
        fmt=["16"] * count,
        adc_gain=[_PER_MV] * count,
        baseline=[0] * count,
        write_dir=str(folder),
    )
    with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["seconds", *leads])
        for number, values in enumerate(samples):
            rows.writerow([f"{number / fs:.4f}", *("" if np.isnan(value) else f"{value:.4f}" for value in values)])
    return leads
