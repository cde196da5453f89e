"""Reads ECGs from HDF5: a file with one array of leads (as Shandong's SPH), and CODE-15's files of many tracings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pulse.ecg.check import checked, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import LEADS, Record, RecordError

if TYPE_CHECKING:
    import h5py

_SUFFIXES = (".h5", ".hdf5")
_NUMBERED = re.compile(r"(.+\.(?:h5|hdf5))#(\d+)", re.IGNORECASE | re.DOTALL)
# CODE-15 (Ribeiro et al. 2021, doi:10.5281/zenodo.4916206): 400 Hz, steps of 0.1 mV, LEADS in order, zeros around.
_CODE_FS, _CODE_MILLIVOLTS = 400.0, 0.1


def read_hdf5(
    path: str | Path,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    *,
    allow_missing: bool = False,
) -> Record:
    """The ECG in an HDF5 file: its one array, numbers as [12, n] or [n, 12] in the order of `LEADS` unless `leads` says
    otherwise, in mV unless `unit` does, at `fs`; or FILE#EXAM of CODE-15, which says all that itself.

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
                signal, names = _single(file, held, leads), list(leads or LEADS)
                signal *= millivolts(unit or "mV")
    except OSError as error:
        raise RecordError(f"{file} is no HDF5 file that can be read ({error}); download it again") from error
    if fs is None:
        raise RecordError(f"{file} does not say its sampling rate; give fs, in samples a second")
    name = file.stem if exam is None else str(exam)
    return checked(signal, names, fs, name=name, allow_missing=allow_missing)


def _of_code(file: Path, held: h5py.File, exam: int | None) -> np.ndarray:
    """Millivolts [12, n] of one exam."""
    exams = held["exam_id"][()]
    if exam is None:
        raise RecordError(f"{file} holds {len(exams)} exams; name one of them, like {file}#{int(exams[0])}")
    rows = np.flatnonzero(exams == exam)
    if len(rows) == 0:
        raise RecordError(f"{file} does not hold exam {exam}; name another, like {file}#{int(exams[0])}")
    return np.asarray(held["tracings"][int(rows[0])], np.float64).T * _CODE_MILLIVOLTS


def _single(file: Path, held: h5py.File, leads: Sequence[str] | None) -> np.ndarray:
    found: list[Any] = []
    held.visititems(lambda _, item: found.append(item) if hasattr(item, "shape") and len(item.shape) == 2 else None)
    count = len(leads or LEADS)
    if len(found) != 1 or list(found[0].shape).count(count) != 1 or found[0].dtype.kind not in "iuf":
        shapes = ", ".join(f"{item.dtype} {list(item.shape)}" for item in found[:3]) or "no array of two dimensions"
        raise RecordError(f"{file} holds {shapes}; save one array of numbers as [{count}, n] or [n, {count}]")
    signal = found[0][()].astype(np.float64)
    return signal if signal.shape[0] == count else signal.T


def _is_numbered(path: Path) -> bool:
    return _NUMBERED.fullmatch(str(path)) is not None


FORMAT = Format("HDF5", _SUFFIXES, read_hdf5, describes_itself=False, also=_is_numbered)
