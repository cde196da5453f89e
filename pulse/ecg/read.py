"""One door for every kind of file that holds an ECG as samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pulse.ecg.check import not_lfs
from pulse.ecg.formats import REGISTRY
from pulse.ecg.record import Record, RecordError


def read_record(
    path: str | Path,
    *,
    fs: float | None = None,
    leads: Sequence[str] | None = None,
    unit: str | None = None,
    allow_missing: bool = False,
) -> Record:
    """The ECG at `path`, in any of the formats of pulse.ecg.formats.

    fs, leads and unit describe a file whose format does not say these itself (unit: 'mV' unless given).
    Raises RecordError when the kind is unknown or the reader of that kind does.
    """
    path = Path(path)
    not_lfs(path)
    formats = [found for _, found in REGISTRY.all()]
    form = next((found for found in formats if found.matches(path)), None)
    if form is None:
        if not path.exists():
            raise RecordError(f"{path} is not there; check the path")
        known = "; ".join(f"{found.title} ({', '.join(found.suffixes)})" for found in formats)
        raise RecordError(f"{path} is of no kind known here; give {known}")
    if not form.describes_itself:
        return form.read(path, fs=fs, leads=leads, unit=unit, allow_missing=allow_missing)
    if fs is not None or leads is not None or unit is not None:
        raise RecordError(f"{path}: a {form.title} header gives rate, leads and unit; correct the header instead")
    return form.read(path, allow_missing=allow_missing)
