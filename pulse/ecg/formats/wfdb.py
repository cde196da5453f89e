"""Reads WFDB records (PhysioNet's .hea + .dat, the form of PTB-XL, Chapman-Shaoxing and most public ECGs)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import Record, RecordError


def read_wfdb(path: str | Path, *, allow_missing: bool = False) -> Record:
    """The 12-lead ECG at `path`: the record's base name, its .hea or its .dat file.

    Each signal's own unit is honoured, samples marked invalid are gaps, and age and sex are taken from header comments
    as the PhysioNet challenges write them ('Age: 64', 'Sex: Female'). A checksum that does not fit is among `repairs`.
    Raises RecordError (see `pulse.ecg.check.checked`) when a file is missing, damaged or no 12-lead ECG.
    Format: https://physionet.org/physiotools/wag/header-5.htm
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat") else path
    header = base.with_name(base.name + ".hea")
    if not header.is_file():
        raise RecordError(f"{header} is not there; give the base name of a WFDB record that has its .hea beside it")
    import wfdb  # brings pandas, which only reading needs

    try:
        raw = wfdb.rdrecord(str(base.absolute()), physical=False)
    except FileNotFoundError as error:
        lost = Path(error.filename or "").name or "a signal file"
        raise RecordError(f"{header} names {lost}, which is not there; copy it beside the header") from error
    except Exception as error:  # the parser raises whatever a malformed line or a short file trips over
        why = " ".join(str(error).split()) or type(error).__name__
        raise RecordError(f"{base} cannot be read ({why}); download the .hea and its .dat again") from error
    if raw.d_signal is None or not raw.sig_name:
        raise RecordError(f"{header} describes no signals; give a record of an ECG, not an annotation or a layout")

    notes = []
    stated = raw.checksum or [None]  # optional in the format; signed in some headers
    if None not in stated and np.any((np.array(stated) - np.array(raw.calc_checksum())) % 65536):
        notes.append("the checksums in the header do not fit the samples: the file may be damaged")
    # signals that are none of the twelve leads (breath, pressure) keep their unit: they are dropped
    names = [text or f"signal {k}" for k, text in enumerate(raw.sig_name)]
    scales = [millivolts(unit or "mV") if lead_name(text) else 1.0
              for text, unit in zip(names, raw.units, strict=True)]  # fmt: skip
    signal = raw.dac().T * np.array(scales)[:, None]
    record = checked(signal, names, raw.fs, name=base.name, allow_missing=allow_missing, repairs=notes)
    return replace(record, **_about(raw.comments))


def _about(comments: list[str]) -> dict[str, Any]:
    about: dict[str, Any] = {}
    for line in comments:
        age = re.match(r"\s*age:\s*(\d{1,3})\b", line, re.IGNORECASE)
        sex = re.match(r"\s*sex:\s*(male|female|m|f)\s*$", line, re.IGNORECASE)
        if age:
            about["age"] = int(age[1])
        if sex:
            about["sex"] = {"m": "male", "f": "female"}[sex[1][0].lower()]
    return about


def _has_header(path: Path) -> bool:
    return path.with_name(path.name + ".hea").is_file()


FORMAT = Format("WFDB", (".hea", ".dat"), read_wfdb, also=_has_header)
