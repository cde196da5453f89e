"""Reads ECGs from HDF5: a file with one array of leads (as Shandong's SPH), and CODE-15's files of many tracings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pulse.ecg.check import checked, in_millivolts, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import LEADS, Record, RecordError

if TYPE_CHECKING:
    import h5py

_SUFFIXES = (".h5", ".hdf5")
_NUMBERED = re.compile(r"(.+\.(?:h5|hdf5))#(\d+)", re.IGNORECASE | re.DOTALL)
# CODE-15 (Ribeiro et al. 2021, doi:10.5281/zenodo.4916206): 400 Hz, steps of 0.1 mV, LEADS in order, zeros around.
_CODE_FS, _CODE_MILLIVOLTS = 400.0, 0.1
# Attributes by which other files describe their array, without spaces and underscores.
_ATTRIBUTES = {
    "fs": ("fs", "samplingrate", "samplerate", "samplingfrequency", "samplefrequency", "sfreq", "frequency"),
    "leads": ("leads", "leadnames", "channels", "channelnames", "signame", "signames"),
    "unit": ("unit", "units"),
    "gain": ("gain", "adcgain", "lsb", "scale", "scalefactor", "resolution"),
}


def read_hdf5(
    path: str | Path,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    *,
    allow_missing: bool = False,
) -> Record:
    """The ECG in an HDF5 file: its one array, numbers as [12, n] or [n, 12] in the order of `LEADS` unless `leads` says
    otherwise, in mV unless `unit` does, at `fs`, where its attributes say none of these; or FILE#EXAM of CODE-15, which
    says all that itself.

    Raises RecordError (see also `pulse.ecg.check.checked`) for what cannot be read with certainty.
    """
    numbered = _NUMBERED.fullmatch(str(path))
    file, exam = (Path(numbered[1]), int(numbered[2])) if numbered and not Path(path).exists() else (Path(path), None)
    if not file.is_file():
        raise RecordError(f"{file} is not there; check the path")
    import h5py

    try:
        with h5py.File(file) as held:
            if "tracings" in held and "exam_id" in held:
                if fs is not None or leads is not None or unit is not None:
                    raise RecordError(f"{file}: CODE-15's rate, leads and unit are known; leave fs, leads and unit out")
                signal, names, fs = _of_code(file, held, exam), list(LEADS), _CODE_FS
            else:
                found = _array(file, held)
                said = _said(file, held, found, fs=fs, leads=leads, unit=unit)
                fs, names = said["fs"], said["leads"] or list(LEADS)
                signal = in_millivolts(_single(file, found, len(names)), millivolts(said["unit"] or "mV"))
    # h5py raises nearly anything for a damaged file: OSError, KeyError, TypeError, RuntimeError ...
    except Exception as error:
        if isinstance(error, RecordError):
            raise
        why = " ".join(str(error).split())[:120]
        raise RecordError(f"{file} is no HDF5 file that can be read ({why}); download it again") from error
    if fs is None:
        raise RecordError(f"{file} does not say its sampling rate; give fs, in samples a second")
    name = file.stem if exam is None else str(exam)
    return checked(signal, names, fs, name=name, allow_missing=allow_missing)


def _of_code(file: Path, held: h5py.File, exam: int | None) -> np.ndarray:
    """Millivolts [12, n] of one exam."""
    tracings, exams = held["tracings"], np.ravel(held["exam_id"][()]).astype(np.int64)
    shape = list(getattr(tracings, "shape", None) or [])
    if len(shape) != 3 or shape[1:].count(len(LEADS)) != 1 or shape[0] != len(exams) or tracings.dtype.kind != "f":
        what = f"{tracings.dtype} {shape}" if shape else "no array"
        raise RecordError(
            f"{file}: its tracings are {what} of {len(exams)} exams, where CODE-15 has floats as [exams, n, 12]; "
            "download it again"
        )
    if len(exams) == 0:
        raise RecordError(f"{file} holds no exams; download it again")
    if exam is None:
        raise RecordError(f"{file} holds {len(exams)} exams; name one of them, like {file}#{exams[0]}")
    rows = np.flatnonzero(exams == exam)
    if len(rows) == 0:
        raise RecordError(f"{file} does not hold exam {exam}; name another, like {file}#{exams[0]}")
    if len(rows) > 1:
        raise RecordError(f"{file} holds exam {exam} {len(rows)} times; name another, or download it again")
    found = np.asarray(tracings[int(rows[0])], np.float64)
    return (found.T if shape[2] == len(LEADS) else found) * _CODE_MILLIVOLTS


def _array(file: Path, held: h5py.File) -> Any:
    """The one dataset that holds leads: two sides, or three of which the first is one. Raises RecordError."""
    found: list[Any] = []
    held.visititems(lambda _, item: found.append(item) if len(getattr(item, "shape", None) or []) > 1 else None)
    shapes = ", ".join(f"{item.dtype} {list(item.shape)}" for item in found[:3]) or "no array of two dimensions"
    if len(found) != 1 or len(found[0].shape) > 3 or (len(found[0].shape) == 3 and found[0].shape[0] != 1):
        raise RecordError(f"{file} holds {shapes}; save one array of numbers as [12, n] or [n, 12]")
    return found[0]


def _single(file: Path, found: Any, count: int) -> np.ndarray:
    shape = list(found.shape[-2:])
    if shape.count(count) != 1 or found.dtype.kind not in "iuf":
        raise RecordError(
            f"{file} holds {found.dtype} {shape}; save one array of numbers as [{count}, n] or [n, {count}]"
        )
    signal = found[()].astype(np.float64).reshape(shape)
    return signal if shape[0] == count else signal.T


def _said(file: Path, held: h5py.File, found: Any, **given: Any) -> dict[str, Any]:
    """fs, leads and unit: as given, else as attributes of the array or its file say; None where nobody does.

    Raises RecordError where both say different things, or a gain that is not the user's unit.
    """
    attributes = {
        re.sub(r"[ _-]", "", name.lower()): value for item in (held, found) for name, value in item.attrs.items()
    }
    said = {what: next((attributes[name] for name in names if name in attributes), None)
            for what, names in _ATTRIBUTES.items()}  # fmt: skip
    if said["gain"] is not None and given["unit"] is None and not np.array_equal(np.ravel(said["gain"]), [1]):
        raise RecordError(f"{file}: its array has a gain of {said['gain']}; save millivolts, or give the samples' unit")
    own: dict[str, Any] = {
        "fs": None if said["fs"] is None else float(np.ravel(said["fs"])[0]),
        "leads": None if said["leads"] is None else _words(said["leads"]),
        "unit": None if said["unit"] is None else _words(said["unit"])[0],
    }
    for what, value in own.items():
        if value is not None and given[what] is not None and not _same(what, value, given[what]):
            raise RecordError(f"{file}: its own {what} is {value}, not {given[what]}; leave {what} out")
    return {what: own[what] if given[what] is None else given[what] for what in own}


def _same(what: str, own: Any, given: Any) -> bool:
    if what == "unit":
        return millivolts(own) == millivolts(given)
    return [lead_name(one) for one in own] == [lead_name(one) for one in given] if what == "leads" else own == given


def _words(value: Any) -> list[str]:
    words = [one.decode() if isinstance(one, bytes) else str(one) for one in np.ravel(value)]
    return re.split(r"[,;\s]+", words[0].strip("[]() ")) if len(words) == 1 else words


def _is_numbered(path: Path) -> bool:
    return _NUMBERED.fullmatch(str(path)) is not None


FORMAT = Format("HDF5", _SUFFIXES, read_hdf5, describes_itself=False, also=_is_numbered)
