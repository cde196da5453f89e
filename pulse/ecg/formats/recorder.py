"""Reads the files that recorders write themselves: DICOM waveforms, SCP-ECG, HL7 aECG, MUSE and Philips XML, EDF, MFER,
ISHNE. The ecgdatakit package reads them; what the recorder measured is kept."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import Record, RecordError

if TYPE_CHECKING:
    from ecgdatakit import ECGRecord, Lead

_SUFFIXES = (".xml", ".dcm", ".scp", ".edf", ".mwf", ".mfer", ".ecg")
# How the parsers' own warnings begin.
_TOLD = ("EDF", "MFER", "ISHNE", "SCP", "DICOM", "HL7", "GE MUSE", "Sierra")
_JOINT_S = 0.002  # how exactly parts must follow each other
_DOMINANT_BEAT = 9  # MFER's MWF_WFM for an averaged beat (Part 1, Table 5-14)
_ISHNE_LOST = -32768  # a sample without an electrode (Badilini 1998)
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
    found, notes = _parsed(path)
    _check_whole(found, path)
    leads = [lead for lead in found.leads if lead_name(lead.label)] or found.leads
    if not leads:
        raise RecordError(f"{path} holds no leads; give a record of an ECG")
    rates, lengths = {_rate(found, lead) for lead in leads}, {len(lead.samples) for lead in leads}
    if len(rates) > 1 or len(lengths) > 1:
        raise RecordError(f"{path}: its leads have different rates or lengths; export it again with one rate")
    if others := [lead.label for lead in found.leads if lead not in leads]:
        notes.append(f"not among the twelve leads and dropped: {', '.join(others)}")
    if found.source_format.startswith("dicom") and _pads_with_zero(path):
        for lead in leads:
            lead.samples = np.nan_to_num(lead.samples)  # the parser has made gaps of them
    lost = _ISHNE_LOST if found.source_format == "ishne_holter" else None
    signal = np.stack([_millivolts(lead, path, lost, found.source_format == "mfer") for lead in leads])
    names = [lead.label for lead in leads]
    record = checked(signal, names, rates.pop(), name=path.stem, allow_missing=allow_missing, repairs=notes)
    return replace(record, **_about(found))


def _parsed(path: Path) -> tuple[ECGRecord, list[str]]:
    """With samples as they are stored, and what the parser found odd about them. Raises RecordError."""
    from ecgdatakit import FileParser

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found: ECGRecord = FileParser().parse(path, auto_scale=False)
        except Exception as error:  # parsers of a dozen formats raise whatever a damaged file trips over
            why = " ".join(str(error).split())[:120] or type(error).__name__
            raise RecordError(
                f"{path} is no DICOM, SCP-ECG, aECG, MUSE, Philips, EDF, MFER or ISHNE file that can be read ({why}); "
                "export it again"
            ) from error
    # Each parser's own begin with its format; others are pydicom's, about fields that are not needed here.
    return found, [words for one in told if (words := str(one.message)).startswith(_TOLD)]


def _pads_with_zero(path: Path) -> bool:
    """Whether a DICOM file names 0 as the code of lost samples. It is a code of the signal too (each lead crosses it
    hundreds of times), so it cannot mean that; real padding is a run of zeros, which the check finds."""
    from pydicom import dcmread

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        groups = dcmread(path, specific_tags=["WaveformSequence"]).get("WaveformSequence") or []
    linear = [group for group in groups if group.get("WaveformSampleInterpretation") not in ("MB", "AB")]
    codes = [bytes(code) for group in linear if (code := group.get("WaveformPaddingValue"))]
    return bool(codes) and not any(map(any, codes))


def _check_whole(found: ECGRecord, path: Path) -> None:
    """Raises RecordError where time is missing between the parts that the parser has joined."""
    about = found.raw_metadata
    ends: list[tuple[float, float]] = []  # seconds: of each part's beginning and end
    if found.source_format.startswith("edf"):
        onsets, lasts = about.get("record_onsets", []), about["record_duration"]
        if found.file_format.version == "EDF+D" and len(onsets) != about["num_records"]:
            raise RecordError(f"{path}: an EDF+D file that does not say when its parts begin; export it as EDF+C")
        ends = [(onset, onset + lasts) for onset in onsets]
    elif found.source_format == "mfer" and found.leads:
        rate = _rate(found, found.leads[0])
        frames = [frame for frame in about["frames"] if frame["waveform_type"] != _DOMINANT_BEAT]
        ends = [(at / rate, (at + frame["samples"]) / rate) for frame in frames if (at := frame["pointer"]) is not None]
    for (_, end), (begin, _) in pairwise(ends):
        if abs(begin - end) > _JOINT_S:
            what = f"has no samples from {end:g} to {begin:g} s" if begin > end else "has parts that overlap"
            raise RecordError(f"{path}: {what}; export one unbroken part of it")


def _rate(found: ECGRecord, lead: Lead) -> float:
    """Samples a second; the parsers round it, and keep it whole elsewhere."""
    about = found.raw_metadata
    if lead.label in (exact := about.get("exact_sampling_rates", {})):
        return float(exact[lead.label])
    if len(rates := about.get("sampling_rates", [])) == len(found.leads):
        return float(rates[[lead is one for one in found.leads].index(True)])
    return float(lead.sampling_rate)


def _millivolts(lead: Lead, path: Path, lost: float | None, mfer: bool) -> np.ndarray:
    """Samples [n], those stored as `lost` NaN. Raises RecordError when the file does not say their unit."""
    if not lead.resolution_unit or lead.resolution == 0:
        raise RecordError(
            f"{path}: says no gain or unit of lead {lead.label}, so nobody knows how many millivolts a step is; export "
            "it again with both"
        )
    if lead.offset and mfer:
        raise RecordError(
            f"{path}: gives lead {lead.label} an offset, which readers of MFER apply differently; export it without one"
        )
    raw = np.asarray(lead.samples, float)
    if lost is not None:
        raw = np.where(raw == lost, np.nan, raw)
    return (raw * lead.resolution + lead.offset if lead.is_raw else raw) * millivolts(lead.resolution_unit)


def _about(found: ECGRecord) -> dict[str, Any]:
    measured, patient = found.measurements, found.patient
    values = {ours: getattr(measured, theirs, None) for theirs, ours in _MEASURED.items()}
    return {
        "age": patient.age if patient else None,
        "sex": _SEXES.get(patient.sex if patient else "", ""),
        "measurements": {name: float(value) for name, value in values.items() if value is not None},
    }


FORMAT = Format("a recorder's own file", _SUFFIXES, read_recorder)
