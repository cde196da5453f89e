"""Reads WFDB records (PhysioNet's .hea + .dat, the form of PTB-XL, Chapman-Shaoxing and most public ECGs)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.formats._wfdb_header import plain_header
from pulse.ecg.record import Record, RecordError

if TYPE_CHECKING:
    import wfdb

_SUFFIXES = (".hea", ".dat", ".mat")


def read_wfdb(path: str | Path, *, allow_missing: bool = False) -> Record:
    """The 12-lead ECG at `path`: the record's base name, its .hea, its .dat or its .mat file.

    Each signal's own unit is honoured, samples marked invalid are gaps, and age and sex are taken from header comments
    as the PhysioNet challenges write them ('Age: 64', 'Sex: Female'). A checksum that does not fit is among `repairs`.
    Raises RecordError (see `pulse.ecg.check.checked`) when a file is missing, damaged or no 12-lead ECG.
    Format: https://physionet.org/physiotools/wag/header-5.htm
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix.lower() in _SUFFIXES else path
    header = base.with_name(base.name + ".hea")
    if not header.is_file():
        raise RecordError(f"{header} is not there; give the base name of a WFDB record that has its .hea beside it")
    with TemporaryDirectory() as folder:
        raw = _raw(plain_header(header, Path(folder)) or base, header)
    if not raw.sig_name:
        raise RecordError(f"{header} describes no signals; give a record of an ECG, not an annotation or a layout")

    notes = []
    stated = raw.checksum or [None]  # optional in the format; signed in some headers
    if None not in stated and np.any((np.array(stated) - np.array(raw.calc_checksum(raw.d_signal is None))) % 65536):
        notes.append("the checksums in the header do not fit the samples: the file may be damaged")
    names = [text or f"signal {k}" for k, text in enumerate(raw.sig_name)]
    signal, names, fs = _samples(raw, names, header)
    record = checked(signal, names, fs, name=base.name, allow_missing=allow_missing, repairs=notes)
    return replace(record, **_about(raw.comments))


def _raw(base: Path, header: Path) -> wfdb.Record:
    """The record with its samples as they are stored. Raises RecordError for what the wfdb package cannot read."""
    import wfdb  # brings pandas, which only reading needs

    try:
        raw = wfdb.rdrecord(str(base.absolute()), physical=False)
        if max(raw.samps_per_frame or [1]) > 1:  # else it would be averaged down to one sample a frame
            raw = wfdb.rdrecord(str(base.absolute()), physical=False, smooth_frames=False)
    except FileNotFoundError as error:
        lost = Path(error.filename or "").name or "a signal file"
        raise RecordError(f"{header} names {lost}, which is not there; copy it beside the header") from error
    except Exception as error:  # the parser raises whatever a malformed line or a short file trips over
        why = " ".join(str(error).split()) or type(error).__name__
        if why == "Samples were not loaded correctly":
            why = "its signal file is shorter than the header says"
        raise RecordError(f"{header} cannot be read ({why}); download the header and its samples again") from error
    return raw


def _samples(raw: wfdb.Record, names: list[str], header: Path) -> tuple[np.ndarray, list[str], float]:
    """Millivolts [k, n], the names of the k signals, and the rate of the twelve leads."""
    # signals that are none of the twelve leads (breath, pressure) keep their unit: they are dropped
    try:
        scales = [millivolts(unit or "mV") if lead_name(text) else 1.0
                  for text, unit in zip(names, raw.units, strict=True)]  # fmt: skip
    except RecordError as error:
        raise RecordError(
            f"{header}: {str(error).split('; ')[0]}; write the gain's unit as mV or uV, like 1000/mV"
        ) from None
    if raw.d_signal is not None:
        return raw.dac().T * np.array(scales)[:, None], names, raw.fs
    frames = raw.samps_per_frame
    often = {count for text, count in zip(names, frames, strict=True) if lead_name(text)} or set(frames)
    if len(often) > 1:
        counts = " and ".join(map(str, sorted(often)))
        raise RecordError(f"{header}: its leads have {counts} samples a frame; resample them to one rate")
    count = often.pop()
    kept = [k for k, own in enumerate(frames) if own == count]
    rows = raw.dac(expanded=True)
    signal = np.stack([rows[k] * scales[k] for k in kept])
    return signal, [names[k] for k in kept], raw.fs * count


def _about(comments: list[str]) -> dict[str, Any]:
    about: dict[str, Any] = {}
    for line in comments:
        age = re.search(r"^\s*<?age>?:\s*(\d{1,3})\b", line, re.IGNORECASE)
        sex = re.search(r"(?:^|\s)<?sex>?:\s*(male|female|m|f)\b", line, re.IGNORECASE)
        if age:
            about["age"] = int(age[1])
        if sex:
            about["sex"] = {"m": "male", "f": "female"}[sex[1][0].lower()]
    return about


def _has_header(path: Path) -> bool:
    return path.with_name(path.name + ".hea").is_file()


FORMAT = Format("WFDB", _SUFFIXES, read_wfdb, also=_has_header)
