"""One door for every kind of file that holds an ECG as samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pulse.ecg.formats.table import read_table
from pulse.ecg.formats.wfdb import read_wfdb
from pulse.ecg.record import Record, RecordError


def read_record(
    path: str | Path,
    *,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    allow_missing: bool = False,
) -> Record:
    """The ECG at `path`: WFDB (.hea, .dat or base name), .csv, .tsv or .npy.

    fs, leads and unit describe a table (unit: 'mV' unless given); a WFDB header says these itself.
    Raises RecordError when the kind is unknown or the reader of that kind does.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv", ".npy"):
        return read_table(path, fs, leads, unit or "mV", allow_missing=allow_missing)
    if kind in (".hea", ".dat") or path.with_name(path.name + ".hea").is_file():
        if fs is not None or leads is not None or unit is not None:
            raise RecordError(f"{path}: a WFDB header gives rate, leads and unit; correct the header instead")
        return read_wfdb(path, allow_missing=allow_missing)
    if not path.exists():
        raise RecordError(f"{path} is not there; check the path")
    raise RecordError(f"{path} is of no kind known here; give WFDB (.hea + .dat), .csv, .tsv or .npy")
