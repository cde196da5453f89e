"""PTB-XL as PhysioNet lays it out: real 12-lead ECGs with cardiologists' statements, to train and to measure on.

Wagner et al., "PTB-XL, a large publicly available electrocardiography dataset", Scientific Data 7:154, 2020; version
1.0.3, doi:10.13026/kfzx-aw45, CC BY 4.0. The table of its 71 statements comes with this package, so that labels can be
named where the 2 GB of records are not.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pulse.ecg.formats.wfdb import read_wfdb
from pulse.ecg.record import Record, RecordError

SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
_COLUMNS = {100: "filename_lr", 500: "filename_hr"}
_NEEDED = ("ecg_id", "patient_id", "age", "sex", "report", "scp_codes", "heart_axis", "strat_fold")
_MEND = "download PTB-XL 1.0.3 from https://physionet.org/content/ptb-xl/1.0.3/ and give the folder that holds it"
_MEND_12SL = "it is part of PTB-XL+ (https://physionet.org/content/ptb-xl-plus/): copy it into this folder"


@dataclass(frozen=True)
class ScpStatement:
    """One SCP-ECG statement; a statement may be of several kinds. The classes are empty unless it is diagnostic."""

    description: str
    diagnostic: bool
    form: bool
    rhythm: bool
    diagnostic_class: str = ""
    diagnostic_subclass: str = ""


@cache
def scp_statements() -> Mapping[str, ScpStatement]:
    """The 71 SCP-ECG statements of PTB-XL by code, in the order of its own table."""
    with Path(__file__).with_name("scp_statements.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return MappingProxyType({
            row["code"]: ScpStatement(
                row["description"], bool(row["diagnostic"]), bool(row["form"]), bool(row["rhythm"]),
                row["diagnostic_class"], row["diagnostic_subclass"],
            )
            for row in rows
        })  # fmt: skip


def superclasses(scp_codes: Mapping[str, float], min_likelihood: float = 0.0) -> set[str]:
    """The diagnostic superclasses (of `SUPERCLASSES`) that an ECG's statements belong to.

    By default every diagnostic statement counts, whatever its likelihood: so do PTB-XL's own example_physionet.py and
    the benchmark on it (Strodthoff et al., 2021), as 0 means "not stated" there. `min_likelihood` is in percent.
    Raises RecordError for a code that is none of the 71.
    """
    table = scp_statements()
    unknown = sorted(set(scp_codes) - set(table))
    if unknown:
        raise RecordError(f"{unknown[0]!r} is none of PTB-XL's 71 SCP-ECG statements; map it to one of them first")
    return {
        table[code].diagnostic_class
        for code, likelihood in scp_codes.items()
        if table[code].diagnostic and likelihood >= min_likelihood
    }


class PtbXl:
    """The records of a PTB-XL folder, by ecg_id; samples are read when asked for.

    sampling_rate: 100 or 500 Hz. Raises RecordError when a table is missing or damaged, and names the fix.
    """

    def __init__(self, folder: str | Path, sampling_rate: int = 100) -> None:
        if sampling_rate not in _COLUMNS:
            raise RecordError(f"PTB-XL has no records at {sampling_rate} Hz; give 100 or 500")
        self.folder = Path(folder)
        self.sampling_rate = sampling_rate
        self._file_column = _COLUMNS[sampling_rate]
        if not (self.folder / "scp_statements.csv").is_file():
            raise RecordError(f"{self.folder} holds no scp_statements.csv; {_MEND}")
        self._rows = _by_id(self.folder / "ptbxl_database.csv", (*_NEEDED, self._file_column), _MEND)
        self._folds = {ecg_id: _cell(row, "strat_fold", ecg_id, int) for ecg_id, row in self._rows.items()}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, ecg_id: object) -> bool:
        return ecg_id in self._rows

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    def ids(self, folds: Iterable[int] | None = None) -> list[int]:
        """The ecg_ids of these folds (1 to 10; None for all), in the order of the table."""
        if folds is None:
            return list(self._folds)
        wanted = set(folds)
        if not wanted <= set(range(1, 11)):
            raise RecordError(f"folds {sorted(wanted)} are not all from 1 to 10; PTB-XL has ten")
        return [ecg_id for ecg_id, fold in self._folds.items() if fold in wanted]

    def records(self, folds: Iterable[int] | None = None) -> Iterator[Record]:
        """The records of these folds, one after the other."""
        return (self[ecg_id] for ecg_id in self.ids(folds))

    def __getitem__(self, ecg_id: int) -> Record:
        """One record with all its labels. An age of 90 stands for 90 and older (the table hides it as 300)."""
        about = self.about(ecg_id)
        record = read_wfdb(self.folder / self._rows[ecg_id][self._file_column])
        return replace(record, **about)

    def about(self, ecg_id: int) -> dict[str, Any]:
        """The fields of a Record but for signal, fs, name and repairs: quick, as no samples are read."""
        row = self._row(ecg_id)
        age = _cell(row, "age", ecg_id, _whole)
        return {
            "scp_codes": self.scp_codes(ecg_id),
            "report": row["report"],
            "heart_axis": row["heart_axis"],
            "patient_id": _cell(row, "patient_id", ecg_id, _whole),
            "age": 90 if age == 300 else age,
            "sex": _cell(row, "sex", ecg_id, _sex),
            "fold": self._folds[ecg_id],
        }

    def scp_codes(self, ecg_id: int) -> dict[str, float]:
        """The statements of one ECG with their likelihoods in percent."""
        return _cell(self._row(ecg_id), "scp_codes", ecg_id, _likelihoods)

    def sl12(self, ecg_id: int) -> tuple[str, ...]:
        """What GE's 12SL program stated about the ECG, as its acronyms ('NSR', 'LAFB'), from PTB-XL+."""
        if ecg_id not in self._sl12_rows:
            raise RecordError(f"12sl_statements.csv says nothing about ECG {ecg_id}; leave it out")
        return _cell(self._sl12_rows[ecg_id], "statements", ecg_id, _texts)

    @cached_property
    def sl12_texts(self) -> Mapping[str, str]:
        """12SL's acronyms -> their full text; a few acronyms in use have none."""
        rows = _table(self.folder / "12slv23ToSNOMED.csv", ("Acronym", "FullText"), _MEND_12SL)
        return MappingProxyType({row["Acronym"]: row["FullText"].strip() for row in rows if row["Acronym"]})

    @cached_property
    def _sl12_rows(self) -> dict[int, dict[str, str]]:
        return _by_id(self.folder / "12sl_statements.csv", ("ecg_id", "statements"), _MEND_12SL)

    def _row(self, ecg_id: int) -> dict[str, str]:
        if ecg_id not in self._rows:
            raise RecordError(f"{self.folder} has no ECG {ecg_id}; choose one of its {len(self)} with ids()")
        return self._rows[ecg_id]


def _table(path: Path, columns: tuple[str, ...], fix: str) -> list[dict[str, str]]:
    if not path.is_file():
        raise RecordError(f"{path} is not there; {fix}")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        lacking = [column for column in columns if column not in (reader.fieldnames or ())]
        if lacking:
            raise RecordError(f"{path} has no column {lacking[0]}; {fix}")
        rows = []
        for row in reader:
            if any(row[column] is None for column in columns):
                raise RecordError(f"{path}, line {reader.line_num} is cut short; {fix}")
            rows.append({column: row[column] for column in columns})
        return rows


def _by_id(path: Path, columns: tuple[str, ...], fix: str) -> dict[int, dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for row in _table(path, columns, fix):
        if not row["ecg_id"].isdecimal():
            raise RecordError(f"{path}: {row['ecg_id']!r} is no ecg_id; {fix}")
        rows[int(row["ecg_id"])] = row
    return rows


def _cell(row: Mapping[str, str], column: str, ecg_id: int, parse: Any) -> Any:
    try:
        return parse(row[column])
    except (ValueError, SyntaxError, TypeError, AttributeError, MemoryError, RecursionError) as error:
        raise RecordError(f"ECG {ecg_id}: {column} is {row[column][:40]!r}, which is damaged; {_MEND}") from error


def _whole(text: str) -> int | None:
    return int(float(text)) if text else None


def _sex(text: str) -> str:
    try:
        return {None: "", 0: "male", 1: "female"}[_whole(text)]
    except KeyError:
        raise ValueError(text) from None


def _likelihoods(text: str) -> dict[str, float]:
    return {str(code): float(likelihood) for code, likelihood in ast.literal_eval(text).items()}


def _texts(text: str) -> tuple[str, ...]:
    values = ast.literal_eval(text)
    if not isinstance(values, list):
        raise TypeError(text)
    return tuple(str(value) for value in values)
