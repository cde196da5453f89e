"""LUDB, the Lobachevsky University Electrocardiography Database: P, QRS and T that cardiologists marked lead by lead.

Kalyakulina et al., IEEE Access 8:186181 (2020), doi:10.1109/ACCESS.2020.3029211; PhysioNet, doi:10.13026/eegm-h675,
ODC-By. In each lead the waves from the first to the last marked one are marked, those outside are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import UserError

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
_KINDS = {"p": "P", "N": "QRS", "t": "T"}


@dataclass(frozen=True)
class Mark:
    """A wave as it was marked: onset, peak and offset in samples, NaN where an end was left unmarked."""

    kind: str
    onset: float
    peak: float
    offset: float

    @property
    def begin(self) -> float:
        """The first of its points that is marked."""
        return self.peak if math.isnan(self.onset) else self.onset

    @property
    def end(self) -> float:
        return self.peak if math.isnan(self.offset) else self.offset


@dataclass(frozen=True)
class Marked:
    """One record. signal: float32 [12, n] in mV, leads in the order of pulse.ecg.record.LEADS; marks of each lead in
    their order. rhythm: as the database's table words it."""

    number: int
    signal: np.ndarray
    fs: float
    marks: tuple[tuple[Mark, ...], ...]
    rhythm: str


def numbers(folder: Path) -> list[int]:
    """Of the records that the folder holds. Raises UserError where it holds none."""
    found = sorted(int(path.stem) for path in (folder / "data").glob("*.hea") if path.stem.isdecimal())
    if not found:
        raise UserError(f"{folder}: no data/NUMBER.hea; give the folder of LUDB, which holds data/ and ludb.csv")
    return found


def read(folder: Path, number: int) -> Marked:
    """One record and its marks. Raises UserError where files are missing or are not what LUDB publishes."""
    import wfdb

    path = str(folder / "data" / str(number))
    try:
        record = wfdb.rdrecord(path)
        marks = tuple(_marks(wfdb.rdann(path, lead)) for lead in LEADS)
        order = [[name.lower() for name in record.sig_name].index(lead) for lead in LEADS]
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a record of LUDB ({error}); fetch ludb 1.0.1 from PhysioNet anew") from None
    rhythm = next((line.split(":", 1)[1].strip(" .") for line in record.comments if line.startswith("Rhythm")), "")
    return Marked(number, record.p_signal[:, order].T.astype(np.float32), float(record.fs), marks, rhythm)


def _marks(annotation: object) -> tuple[Mark, ...]:
    """Each peak with the brackets beside it."""
    symbols = ["", *annotation.symbol, ""]  # type: ignore[attr-defined]
    at = [math.nan, *map(float, annotation.sample), math.nan]  # type: ignore[attr-defined]
    found = []
    for i, symbol in enumerate(symbols):
        if symbol in _KINDS:
            onset = at[i - 1] if symbols[i - 1] == "(" else math.nan
            offset = at[i + 1] if symbols[i + 1] == ")" else math.nan
            found.append(Mark(_KINDS[symbol], onset, at[i], offset))
    return tuple(found)
