"""Reads ECGs from plain tables, CSV and NPY, which is how they leave spreadsheets, MATLAB and numpy."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pulse.ecg.check import checked, in_millivolts, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.formats._cells import scale
from pulse.ecg.formats._columns import read_columns
from pulse.ecg.record import LEADS, Record, RecordError

_ENDINGS = (".csv", ".tsv", ".txt", ".npy", ".npz")


def read_table(
    path: str | Path,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    *,
    allow_missing: bool = False,
) -> Record:
    """The ECG in a .csv, .tsv, .txt, .npy or .npz file.

    Text: a column a lead, named in a line above the samples (or by `leads`, which then replaces those names); parted by
    comma, semicolon, tab or spaces; a column of times, or a line such as "Sample Rate,500", gives `fs`; empty cells are
    gaps; units stand in the names ("I (mV)"), in a line below them, or in `unit`.
    NPY, NPZ of one array: numbers as [12, n] or [n, 12], in the order of `LEADS` unless `leads` says otherwise; needs
    `fs`. unit: 'mV' unless given or said.
    Raises RecordError (see also `pulse.ecg.check.checked`) for what cannot be read with certainty.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _ENDINGS:
        raise RecordError(f"{path} is no {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]} file; save the samples as one")
    if not path.is_file():
        raise RecordError(f"{path} is not there; check the path")
    if kind in (".npy", ".npz"):
        signal, names = _npy(path, leads)
        signal = in_millivolts(signal, millivolts(unit or "mV"))
    else:
        signal, names, timed = _csv(path, leads, unit)
        if fs is not None and timed is not None and abs(fs / timed - 1) > 0.01:
            raise RecordError(f"{path}: fs={fs:g} was given but its time column says {timed:g} Hz; leave one out")
        fs = fs if fs is not None else timed
    if fs is None:
        raise RecordError(f"{path} does not say its sampling rate; give fs, in samples a second")
    return checked(signal, names, fs, name=path.stem, allow_missing=allow_missing)


def _npy(path: Path, leads: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    try:
        signal = np.load(path, allow_pickle=False)
        if isinstance(signal, np.lib.npyio.NpzFile):
            if len(signal.files) != 1:
                raise RecordError(f"{path} holds {len(signal.files)} arrays; save the samples alone")
            signal = signal[signal.files[0]]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(f"{path} is no array of numbers ({error}); save it with numpy.save") from error
    names = list(LEADS if leads is None else leads)
    if signal.ndim == 3 and signal.shape[0] == 1:
        signal = signal[0]  # a batch of one
    sides = [axis for axis in range(signal.ndim) if signal.shape[axis] == len(names)]
    if signal.ndim != 2 or len(sides) != 1 or signal.dtype.kind not in "iuf":
        raise RecordError(
            f"{path} holds {signal.dtype} {list(signal.shape)}; save numbers as [{len(names)}, n] or [n, {len(names)}]"
        )
    return (signal if sides == [0] else signal.T).astype(np.float64), names


def _csv(path: Path, leads: Sequence[str] | None, unit: str | None) -> tuple[np.ndarray, list[str], float | None]:
    """Millivolts [columns, n], their names, and the rate that the file tells."""
    found = read_columns(path, leads)
    names = found.names if leads is None else list(leads)
    if len(names) != len(found.names):
        raise RecordError(
            f"{path} has {len(found.names)} columns of samples but {len(names)} leads were given; name each"
        )
    scales = []
    for name, said in zip(names, found.units, strict=True):
        step = scale(said) if said else None
        if said and step is None and unit is None and lead_name(name):
            raise RecordError(f"{path}: lead {name} says ({said}), which is no unit known here; give unit='mV' or 'uV'")
        if step is not None and unit and lead_name(name) and step != millivolts(unit):
            raise RecordError(f"{path}: lead {name} is in {said} by its own words, not in {unit}; leave the unit out")
        scales.append((step or millivolts(unit or "mV")) if lead_name(name) else 1.0)
    return in_millivolts(found.values, np.array(scales)[:, None]), names, found.fs


FORMAT = Format("a table", _ENDINGS, read_table, describes_itself=False)
