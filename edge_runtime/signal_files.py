"""Signals as files that other programs read: WFDB and a table.

WFDB's header and signal format 16 (https://physionet.org/physiotools/wag/header-5.htm, signal-5.htm), written without
the wfdb package, which a phone cannot carry.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from edge_runtime.leads import LEADS

Array = np.ndarray[Any, Any]
_PER_MV = 1000  # a step of the file is a microvolt
_HIGHEST = 32.0  # mV that 16 bits hold of them
_INVALID = -32768


def signal_files(name: str, mv: Array, fs: float) -> dict[str, bytes]:
    """The files `name`.hea, .dat and .csv by their names; characters that WFDB does not allow in it become "_".

    mv: [12, n] in the order of LEADS, fs samples a second, NaN where there is nothing: WFDB's invalid sample, and an
    empty field. A lead that has no sample is not in them.
    """
    name = re.sub(r"[^-\w]", "_", name, flags=re.ASCII)
    shown = [row for row in range(len(LEADS)) if np.isfinite(mv[row]).any()]
    leads, samples = [LEADS[row] for row in shown], mv[shown].T.astype(np.float64)
    steps = np.round(_PER_MV * np.clip(samples, -_HIGHEST, _HIGHEST))
    digits = np.where(np.isfinite(steps), steps, _INVALID).astype("<i2")
    return {
        f"{name}.hea": _header(name, leads, digits, fs).encode(),
        f"{name}.dat": digits.tobytes(),
        f"{name}.csv": _table(leads, samples, fs).encode(),
    }


def _header(name: str, leads: list[str], digits: Array, fs: float) -> str:
    """Gain with baseline and unit, bits, zero, first sample, checksum, block size and lead of each signal."""
    sums = digits.sum(0, dtype=np.int64).astype(np.int16)
    lines = [f"{name} {len(leads)} {fs:g} {len(digits)}"]
    for lead, first, checksum in zip(leads, digits[0].tolist(), sums.tolist(), strict=True):
        lines.append(f"{name}.dat 16 {_PER_MV}(0)/mV 16 0 {first} {checksum} 0 {lead}")
    return "\n".join(lines) + "\n"


def _table(leads: list[str], samples: Array, fs: float) -> str:
    rows = [",".join(["seconds", *leads])]
    for number, values in enumerate(samples.tolist()):
        fields = ("" if value != value else f"{value:.4f}" for value in values)  # NaN alone is not itself
        rows.append(",".join([f"{number / fs:.4f}", *fields]))
    return "\r\n".join(rows) + "\r\n"
