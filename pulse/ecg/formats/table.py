"""Reads ECGs from plain tables, CSV and NPY, which is how they leave spreadsheets, MATLAB and numpy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import LEADS, Record, RecordError

_TIMES = {"time": 1.0, "t": 1.0, "time_s": 1.0, "time (s)": 1.0, "time [s]": 1.0, "seconds": 1.0,
          "time_ms": 1e-3, "time (ms)": 1e-3, "time [ms]": 1e-3, "ms": 1e-3}  # fmt: skip
_UNEVEN = 0.1  # of a step: times are often printed to the millisecond


def read_table(
    path: str | Path,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    *,
    allow_missing: bool = False,
) -> Record:
    """The ECG in a .csv, .tsv or .npy file.

    CSV: a column a lead, named in the first line (or by `leads`, which then replaces that line's names); separated by
    comma, semicolon (decimal commas allowed) or tab; a column 'time' in seconds or 'time_ms' gives `fs`; empty cells
    are gaps. NPY: numbers as [12, n] or [n, 12], in the order of `LEADS` unless `leads` says otherwise; needs `fs`.
    unit: 'mV' unless given.
    Raises RecordError (see also `pulse.ecg.check.checked`) for what cannot be read with certainty.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".csv", ".tsv", ".npy"):
        raise RecordError(f"{path} is no .csv, .tsv or .npy file; save the samples as one of these")
    if not path.is_file():
        raise RecordError(f"{path} is not there; check the path")
    if kind == ".npy":
        signal, names = _npy(path, leads)
    else:
        signal, names, timed = _csv(path, leads)
        if fs is not None and timed is not None and abs(fs / timed - 1) > 0.01:
            raise RecordError(f"{path}: fs={fs:g} was given but its time column says {timed:g} Hz; leave one out")
        fs = fs if fs is not None else timed
    if fs is None:
        raise RecordError(f"{path} does not say its sampling rate; give fs, in samples a second")
    return checked(signal * millivolts(unit or "mV"), names, fs, name=path.stem, allow_missing=allow_missing)


def _npy(path: Path, leads: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    try:
        signal = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RecordError(f"{path} is no array of numbers ({error}); save it with numpy.save") from error
    names = list(LEADS if leads is None else leads)
    sides = [axis for axis in range(signal.ndim) if signal.shape[axis] == len(names)]
    if signal.ndim != 2 or len(sides) != 1 or signal.dtype.kind not in "iuf":
        raise RecordError(
            f"{path} holds {signal.dtype} {list(signal.shape)}; save numbers as [{len(names)}, n] or [n, {len(names)}]"
        )
    return (signal if sides == [0] else signal.T).astype(np.float64), names


def _csv(path: Path, leads: Sequence[str] | None) -> tuple[np.ndarray, list[str], float | None]:
    """Samples [columns, n], their names, and the rate that a time column tells."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"{path} is not UTF-8 text; save it as CSV UTF-8") from error
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        raise RecordError(f"{path} is empty; export it again")
    mark = max(",;\t", key=lines[0].count)
    rows = [(number, row) for number, row in enumerate(csv.reader(lines, delimiter=mark), 1) if any(row)]
    header = [cell.strip() for cell in rows[0][1]]
    if leads is None and not any(lead_name(cell) for cell in header):
        raise RecordError(f"{path}: its first line names no lead; begin with I,II,III,... or give leads")
    if not _is_numbers(header, mark):
        rows = rows[1:]
    values = np.array([_numbers(path, number, row, len(header), mark) for number, row in rows])
    values = values.reshape(-1, len(header)).T

    clock = next((k for k, cell in enumerate(header) if cell.lower() in _TIMES), None)
    timed = None
    if clock is not None:
        timed = _rate(path, values[clock] * _TIMES[header[clock].lower()])
        values, header = np.delete(values, clock, axis=0), header[:clock] + header[clock + 1 :]
    if leads is not None and len(leads) != len(header):
        raise RecordError(f"{path} has {len(header)} columns of samples but {len(leads)} leads were given; name each")
    return values, list(header if leads is None else leads), timed


def _is_numbers(row: list[str], mark: str) -> bool:
    try:
        [float(cell.replace(",", ".") if mark != "," else cell) for cell in row if cell]
    except ValueError:
        return False
    return True


def _numbers(path: Path, line: int, row: list[str], count: int, mark: str) -> list[float]:
    if len(row) != count:
        raise RecordError(f"{path}, line {line}: {len(row)} cells where the first line has {count}; complete the line")
    if mark != ",":
        row = [cell.replace(",", ".") for cell in row]
    try:
        return [float(cell) if cell.strip() else np.nan for cell in row]
    except ValueError as error:
        raise RecordError(f"{path}, line {line}: {error}; leave the cell empty if the sample is lost") from error


def _rate(path: Path, seconds: np.ndarray) -> float:
    steps = np.diff(seconds)
    if len(steps) == 0:
        raise RecordError(f"{path} has fewer than two samples; export it again")
    step = (seconds[-1] - seconds[0]) / len(steps)
    # drift from an even clock, not step by step: rounding to the millisecond makes steps of 2 and 3 ms
    drift = np.abs(seconds - seconds[0] - step * np.arange(len(seconds))).max()
    if not step > 0 or not drift <= max(_UNEVEN * step, 0.0011):
        raise RecordError(f"{path}: its time column is not even; resample to a fixed rate, or remove it and give fs")
    # times printed to the millisecond give 499.99 where 500 is meant
    rate = 1 / step
    return float(round(rate)) if abs(rate - round(rate)) < 0.002 * rate and abs(rate - round(rate)) < 0.05 else rate


FORMAT = Format("a table", (".csv", ".tsv", ".npy"), read_table, describes_itself=False)
