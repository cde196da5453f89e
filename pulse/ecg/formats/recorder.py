"""Reads the files that recorders write themselves: DICOM waveforms, SCP-ECG, HL7 aECG, MUSE and Philips XML, EDF, MFER,
ISHNE. The ecgdatakit package reads them; what the recorder measured is kept."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import Record, RecordError

if TYPE_CHECKING:
    from ecgdatakit import ECGRecord

_SUFFIXES = (".xml", ".dcm", ".scp", ".edf", ".mwf", ".ecg")
_MEASURED = {
    "heart_rate": "rate",
    "pr_interval": "pr_ms",
    "qrs_duration": "qrs_ms",
    "qt_interval": "qt_ms",
    "qtc_bazett": "qtc_bazett_ms",
    "qtc_fridericia": "qtc_fridericia_ms",
    "p_axis": "p_axis",
    "qrs_axis": "qrs_axis",
    "t_axis": "t_axis",
}
_SEXES = {"M": "male", "F": "female"}


def read_recorder(path: str | Path, *, allow_missing: bool = False) -> Record:
    """The 12-lead ECG in a recorder's own file, with its age, sex and measurements where the file has them.

    Raises RecordError (see `pulse.ecg.check.checked`) for a file that is missing, damaged, of another kind, or no
    12-lead ECG.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path} is not there; check the path")
    found = _parsed(path)
    leads = [lead for lead in found.leads if lead_name(lead.label)] or found.leads
    if not leads:
        raise RecordError(f"{path} holds no leads; give a record of an ECG")
    rates, lengths = {float(lead.sampling_rate) for lead in leads}, {len(lead.samples) for lead in leads}
    if len(rates) > 1 or len(lengths) > 1:
        raise RecordError(f"{path}: its leads have different rates or lengths; export it again with one rate")
    signal = np.stack([np.asarray(lead.samples, float) * millivolts(lead.units or "unknown") for lead in leads])
    names = [lead.label for lead in leads]
    record = checked(signal, names, rates.pop(), name=path.stem, allow_missing=allow_missing)
    return replace(record, **_about(found))


def _parsed(path: Path) -> ECGRecord:
    """With samples in units of voltage. Raises RecordError."""
    from ecgdatakit import FileParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fields that are not needed here
        try:
            found: ECGRecord = FileParser().parse(path)
            for lead in found.leads:
                if lead.is_raw:
                    lead.to_physical()
        except Exception as error:  # parsers of a dozen formats raise whatever a damaged file trips over
            why = " ".join(str(error).split())[:120] or type(error).__name__
            raise RecordError(
                f"{path} is no DICOM, SCP-ECG, aECG, MUSE, Philips, EDF, MFER or ISHNE file that can be read ({why}); "
                "export it again"
            ) from error
    return found


def _about(found: ECGRecord) -> dict[str, Any]:
    measured, patient = found.measurements, found.patient
    values = {ours: getattr(measured, theirs, None) for theirs, ours in _MEASURED.items()}
    return {
        "age": patient.age if patient else None,
        "sex": _SEXES.get(patient.sex if patient else "", ""),
        "measurements": {name: float(value) for name, value in values.items() if value is not None},
    }


FORMAT = Format("a recorder's own file", _SUFFIXES, read_recorder)
