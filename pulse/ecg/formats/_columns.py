"""A table of text as columns of numbers: whatever spreadsheets, recorders and other programs write as CSV.

The marks between cells, the encoding, a line of units, words for lost samples and times in any form are told from the
file itself. What could mean two things is refused.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pulse.ecg.check import lead_name
from pulse.ecg.formats._cells import HALF_A_DAY, SECONDS, is_number, moment, name_and_unit, sample, time_unit, unit_word
from pulse.ecg.record import RecordError

_RATE = re.compile(
    r"\W*(?:(?:sample|sampling|abtast)[ _]?(?:rate|frequency|frequenz)|fs)[ _]*(?:[(\[]?hz[)\]]?)?\s*[:=,;\t ]\s*"
    r"(\d+(?:[.,]\d+)?)(?:\s*(hz|hertz|khz|/s))?\W*",
    re.IGNORECASE,
)
_UNIT = re.compile(r"\W*(?:amplitude|voltage|signal)?[ _]?units?\s*[:=,;\t ]\s*(\S.*?)\W*", re.IGNORECASE)
_GAIN = re.compile(r"\W*(?:adc[ _]?)?(?:gain|lsb|resolution)\b[^\d]*[\d.,]+.*", re.IGNORECASE)
_OTHERS = {
    b"PK\x03\x04": "an Excel or zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel file",
    b"{": "JSON",
    b"<": "HTML or XML",
}
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
    if turned := _leads_in_rows(rows):
        rows = turned
    counts = [sum(bool(lead_name(name_and_unit(cell)[0])) for cell in row) for _, row in rows[:_HEAD]]
    at = counts.index(max(counts)) if any(counts) else None
    if at is None and leads is None:
        _refuse_single(path, rows)
        raise RecordError(f"{path}: no line names the leads; begin with I,II,III,... or give leads")
    above, header, below = rows[: at or 0], rows[at or 0][1], rows[(at or 0) + 1 :]
    if at is None and all(map(is_number, header)):
        below = rows
    _refuse_single(path, above)
    names, units = (list(part) for part in zip(*map(name_and_unit, header), strict=True))
    # A line of units stands below the names or above them.
    for side, place in ((below, 0), (above, -1)):
        line = [unit_word(cell) for cell in side[place][1]] if side else []
        if sum(map(bool, line)) * 2 > len(line):
            units = [said or old for said, old in zip(line, units, strict=False)] + units[len(line) :]
            del side[place]
    fs, unit = _said_above(path, above, mark)
    units = [said or (unit if lead_name(name) else None) for name, said in zip(names, units, strict=True)]
    return _columns(path, names, units, below, _decimal(path, below, mark), fs)


def _rows(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """(line number, cells) of each line that is not empty, and the mark between cells; "" for spaces."""
    lines = _text(path).splitlines()
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise RecordError(f"{path} is empty; export it again")
    # The mark is the one that parts most names of leads; without names a comma may be a decimal comma.
    head = filled[:_HEAD]
    named = {m: max(sum(bool(lead_name(name_and_unit(c)[0])) for c in line.replace('"', "").split(m)) for line in head)
             for m in ";\t|,"}  # fmt: skip
    mark = max(named, key=named.__getitem__) if any(n > 1 for n in named.values()) else _first_in(";\t|,", head)
    if not mark:
        return [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()], ""
    cells = enumerate(csv.reader(lines, delimiter=mark), 1)
    return [(number, [cell.strip().strip("'").strip() for cell in row]) for number, row in cells if any(row)], mark


def _leads_in_rows(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]] | None:
    """The same cells with a column a lead, where each lead is a line that begins with its name; None where not.

    A line number is the cell's place in its line then.
    """
    leads = [row for _, row in rows if lead_name(name_and_unit(row[0])[0]) and len(row) > 60 and not any(
        lead_name(cell) for cell in row[1:])]  # fmt: skip
    if len(leads) < 3:
        return None
    begun = [row for _, row in rows if len(row) == len(leads[0])]
    times = [row for row in begun if time_unit(name_and_unit(row[0])[0]) is not None]
    # One that names no lead counts the samples or tells their times, and then it does not say which.
    columns = [[cell for cell in row if cell] if not row[-1] else row for row in [*times[:1], *leads]]
    if len(set(map(len, columns))) > 1:
        return None
    return [(k, list(cells)) for k, cells in enumerate(zip(*columns, strict=True), 1)]


def _first_in(marks: str, lines: list[str]) -> str:
    return next((mark for mark in marks if any(mark in line for line in lines)), "")


def _text(path: Path) -> str:
    raw = path.read_bytes()
    if what := next((what for magic, what in _OTHERS.items() if raw.lstrip().startswith(magic)), None):
        raise RecordError(f"{path} is {what}, not a table of text; save it as CSV UTF-8")
    for encoding in _encodings(raw):
        try:
            return raw.decode(encoding).rstrip("\0\x1a \r\n")  # as some systems end a file
        except UnicodeDecodeError:
            continue
    raise RecordError(f"{path} is no text; save it as CSV UTF-8")


def _encodings(raw: bytes) -> tuple[str, ...]:
    if raw[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return ("utf-32",)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ("utf-16",)
    # Of plain text every second byte is zero in UTF-16.
    if len(raw) > 1 and 0 in raw[:2] and raw[:64].count(0) > 24:
        return ("utf-16-be",) if raw[0] == 0 else ("utf-16-le",)
    return "utf-8-sig", "cp1252"


def _decimal(path: Path, rows: list[tuple[int, list[str]]], mark: str) -> str:
    """`mark`, or ";" where commas part cells and those inside of them can be nothing but decimal commas.

    Raises RecordError where points may part thousands.
    """
    cells = {cell.lstrip("-+") for _, row in rows for cell in row}
    points, commas = [c for c in cells if "." in c], [c for c in cells if "," in c]
    whole = any(re.fullmatch(r"[1-9]\d{0,2}", cell) for cell in cells)
    if whole and points and all(re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", cell) for cell in points):
        raise RecordError(f"{path}: {points[0]} may be thousands or a fraction; write thousands without a point")
    if mark != "," or points or not any(re.fullmatch(r"\d+,(\d{1,2}|\d{4,})", cell) for cell in commas):
        return mark
    return ";" if all(re.fullmatch(r"\d+,\d+", cell) for cell in commas) else mark


def _columns(
    path: Path,
    names: list[str],
    units: list[str | None],
    rows: list[tuple[int, list[str]]],
    mark: str,
    fs: float | None,
) -> Columns:
    count = len(names)
    clock = next((k for k, name in enumerate(names) if time_unit(name) is not None), None)
    values = np.empty((len(rows), count))
    for at, (number, row) in enumerate(rows):
        if len(row) != count:
            raise RecordError(
                f"{path}, line {number}: {len(row)} cells where the line of names has {count}; complete the line"
            )
        for k, cell in enumerate(row):
            read: Callable[[str, str], float] = moment if k == clock else sample
            try:
                values[at, k] = read(cell, mark)
            except ValueError as error:
                raise RecordError(
                    f"{path}, line {number}: {error}; leave the cell empty if the sample is lost"
                ) from error
    columns = values.T
    if clock is not None:
        step = SECONDS.get((units[clock] or "").lower()) or time_unit(names[clock]) or 1.0
        timed = _rate(path, columns[clock] * step)
        if fs is not None and abs(fs / timed - 1) > 0.01:
            raise RecordError(f"{path}: says {fs:g} Hz, and its time column {timed:g} Hz; correct one")
        fs = timed
    # A column without a name that holds nothing, or counts the lines, is no signal.
    idle = [k for k in range(count) if k == clock or (not names[k] and _counts_or_empty(columns[k]))]
    kept = [k for k in range(count) if k not in idle]
    return Columns(columns[kept], [names[k] for k in kept], [units[k] for k in kept], fs)


def _rate(path: Path, seconds: np.ndarray) -> float:
    steps = np.diff(seconds)
    if (steps < 0).any() and (steps > 0).any():  # a clock that passed midnight or noon
        seconds = np.unwrap(seconds, period=HALF_A_DAY)
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


def _said_above(path: Path, rows: list[tuple[int, list[str]]], mark: str) -> tuple[float | None, str | None]:
    """The rate and the unit that lines above the names say. Raises RecordError for a gain, which nobody can apply
    without knowing of what."""
    fs = unit = None
    for line_number, row in rows:
        line = (mark or " ").join(row).strip(f"{mark} ")
        if said := _RATE.fullmatch(line):
            fs = float(said[1].replace(",", ".")) * (1000 if (said[2] or "").lower() == "khz" else 1)
        elif (said := _UNIT.fullmatch(line)) and unit_word(said[1]):
            unit = said[1]
        elif _GAIN.fullmatch(line):
            raise RecordError(f"{path}, line {line_number}: says a gain ({line[:30]}); write millivolts, without it")
    return fs, unit


def _counts_or_empty(column: np.ndarray) -> bool:
    return bool(np.isnan(column).all() or np.array_equal(column, column[0] + np.arange(len(column))))


def _refuse_single(path: Path, rows: list[tuple[int, list[str]]]) -> None:
    if any("watch" in cell.lower() for _, row in rows[:_HEAD] for cell in row):
        raise RecordError(f"{path}: is a watch's export of a single lead; give a record of the twelve leads")
