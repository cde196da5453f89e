"""A table of text as columns of numbers: whatever spreadsheets, recorders and other programs write as CSV.

The marks between cells, the encoding, a line of units, words for lost samples and times in any form are told from the
file itself. What could mean two things is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pulse.ecg.check import lead_name, millivolts
from pulse.ecg.record import RecordError

_TIMES = ("time", "t", "timestamp", "elapsed time", "seconds", "sec", "s", "ms", "us", "zeit", "datetime", "date time")
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+(?:\.\d*)?)")
_LOST = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--"})
_RATE = re.compile(r"(?:sample|sampling|abtast)[ _]?(?:rate|frequency|frequenz)|fs", re.IGNORECASE)
_HEAD = 60  # lines in which the names of the leads are looked for


@dataclass(frozen=True)
class Columns:
    """values [columns, n]: NaN where a cell says that the sample is lost. names, units: of each column, a unit None
    where the file says none. fs: samples a second, by a time column or a line above the names."""

    values: np.ndarray
    names: list[str]
    units: list[str | None]
    fs: float | None


def read_columns(path: Path, leads: Sequence[str] | None) -> Columns:
    """The columns of a text file; leads: names that replace the file's own. Raises RecordError naming the line that
    cannot be read."""
    rows, mark = _rows(path)
    at = next((k for k, (_, row) in enumerate(rows[:_HEAD]) if any(map(lead_name, map(_plain, row)))), None)
    if at is None and leads is None:
        _refuse_single(path, rows)
        raise RecordError(f"{path}: no line names the leads; begin with I,II,III,... or give leads")
    above, header, below = rows[: at or 0], rows[at or 0][1], rows[(at or 0) + 1 :]
    if at is None and all(map(_is_number, header)):
        below = rows
    _refuse_single(path, above)
    names = [_plain(cell) for cell in header]
    units = [_unit(cell) for cell in header]
    if below and (line := [_unit_word(cell) for cell in below[0][1]]) and sum(map(bool, line)) * 2 > len(line):
        units = [said or old for said, old in zip(line, units, strict=False)] + units[len(line) :]
        below = below[1:]
    return _columns(path, names, units, below, mark, _rate_above(above))


def _rows(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """(line number, cells) of each line that is not empty, and the mark between cells; "" for spaces."""
    lines = _text(path).splitlines()
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise RecordError(f"{path} is empty; export it again")
    # The mark is the one that parts most names of leads; without names a comma may be a decimal comma.
    head = filled[:_HEAD]
    named = {m: max(sum(bool(lead_name(_plain(c))) for c in line.split(m)) for line in head) for m in ";\t,"}
    mark = max(named, key=named.__getitem__) if any(n > 1 for n in named.values()) else _first_in(";\t,", head)
    if not mark:
        return [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()], ""
    cells = enumerate(csv.reader(lines, delimiter=mark), 1)
    return [(number, [cell.strip().strip("'").strip() for cell in row]) for number, row in cells if any(row)], mark


def _first_in(marks: str, lines: list[str]) -> str:
    return next((mark for mark in marks if any(mark in line for line in lines)), "")


def _text(path: Path) -> str:
    raw = path.read_bytes()
    for encoding in ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise RecordError(f"{path} is no text; save it as CSV UTF-8")


def _columns(
    path: Path,
    names: list[str],
    units: list[str | None],
    rows: list[tuple[int, list[str]]],
    mark: str,
    fs: float | None,
) -> Columns:
    count = len(names)
    clock = next((k for k, name in enumerate(names) if _time_unit(name) is not None), None)
    values = np.empty((len(rows), count))
    for at, (number, row) in enumerate(rows):
        if len(row) != count:
            raise RecordError(
                f"{path}, line {number}: {len(row)} cells where the line of names has {count}; complete the line"
            )
        for k, cell in enumerate(row):
            read: Callable[[str, str], float] = _moment if k == clock else _number
            try:
                values[at, k] = read(cell, mark)
            except ValueError as error:
                raise RecordError(
                    f"{path}, line {number}: {error}; leave the cell empty if the sample is lost"
                ) from error
    columns = values.T
    if clock is not None:
        scale = _SECONDS.get((units[clock] or "").lower()) or _time_unit(names[clock]) or 1.0
        timed = _rate(path, columns[clock] * scale)
        if fs is not None and abs(fs / timed - 1) > 0.01:
            raise RecordError(f"{path}: says {fs:g} Hz, and its time column {timed:g} Hz; correct one")
        fs = timed
    # A column without a name that holds nothing, or counts the lines, is no signal.
    idle = [k for k in range(count) if k == clock or (not names[k] and _counts_or_empty(columns[k]))]
    kept = [k for k in range(count) if k not in idle]
    return Columns(columns[kept], [names[k] for k in kept], [units[k] for k in kept], fs)


def _plain(cell: str) -> str:
    """A column's name without its unit: "I (mV)", "II [uV]"."""
    return re.sub(r"\s*[(\[][^)\]]*[)\]]$", "", cell.strip()).strip()


def _unit(cell: str) -> str | None:
    found = re.search(r"[(\[]\s*([^)\]]*?)\s*[)\]]$", cell.strip())
    return _unit_word(found[1]) if found else None


def _unit_word(cell: str) -> str | None:
    """The cell where it is a unit of voltage or time."""
    if cell.lower() in _SECONDS or re.fullmatch(r"[hms:.]{5,}", cell.lower()):
        return cell
    try:
        millivolts(cell)
    except RecordError:
        return None
    return cell


def _time_unit(name: str) -> float | None:
    """Seconds that one step of a column of this name is; None where it is no column of times."""
    plain = name.lower().replace("_", " ").strip()
    if plain in _TIMES:
        return _SECONDS.get(plain, 1.0)
    first, _, last = plain.rpartition(" ")
    return _SECONDS[last] if first in _TIMES and last in _SECONDS else None


def _is_number(cell: str) -> bool:
    try:
        _number(cell, ";")
    except ValueError:
        return False
    return True


def _number(cell: str, mark: str) -> float:
    """A sample; a comma is a decimal comma where it does not part cells."""
    if cell.lower() in _LOST:
        return float("nan")
    if "," in cell:
        if mark == "," and "." not in cell:
            raise ValueError(f"{cell!r} may be thousands or a fraction")
        # Of two kinds of marks the last one begins the fraction.
        cell = cell.replace(",", "") if cell.rfind(".") > cell.rfind(",") else cell.replace(".", "").replace(",", ".")
    return float(cell)


def _moment(cell: str, mark: str) -> float:
    """A time in its column's unit, or in seconds where it is a clock's or a date's."""
    if clock := _CLOCK.fullmatch(cell.strip("[]")):
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return 3600 * hours + 60 * minutes + seconds
    try:
        return _number(cell, mark)
    except ValueError:
        return datetime.fromisoformat(cell).timestamp()


def _rate(path: Path, seconds: np.ndarray) -> float:
    steps = np.diff(seconds)
    if len(steps) == 0:
        raise RecordError(f"{path} has fewer than two samples; export it again")
    step = (seconds[-1] - seconds[0]) / len(steps)
    # drift from an even clock, not step by step: rounding to the millisecond makes steps of 2 and 3 ms
    drift = np.abs(seconds - seconds[0] - step * np.arange(len(seconds))).max()
    if not step > 0 or not drift <= max(0.1 * step, 0.0011):
        raise RecordError(f"{path}: its time column is not even; resample to a fixed rate, or remove it and give fs")
    # times printed to the millisecond give 499.99 where 500 is meant
    rate = 1 / step
    return float(round(rate)) if abs(rate - round(rate)) < 0.002 * rate and abs(rate - round(rate)) < 0.05 else rate


def _rate_above(rows: list[tuple[int, list[str]]]) -> float | None:
    for _, row in rows:
        if len(row) > 1 and _RATE.fullmatch(row[0]) and (said := re.match(r"\d+(?:[.,]\d+)?", row[1])):
            return float(said[0].replace(",", "."))
    return None


def _counts_or_empty(column: np.ndarray) -> bool:
    return bool(np.isnan(column).all() or np.array_equal(column, column[0] + np.arange(len(column))))


def _refuse_single(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    if any("watch" in cell.lower() for _, row in rows[:_HEAD] for cell in row):
        raise RecordError(f"{path}: is a watch's export of a single lead; give a record of the twelve leads")
