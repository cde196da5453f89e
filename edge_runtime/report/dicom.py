"""A report's PDF inside a DICOM file: the Encapsulated PDF IOD, DICOM PS3.3 A.45.1.

https://dicom.nema.org/medical/dicom/current/output/chtml/part03/sect_A.45.html. It belongs to the patient and study of
the file that was read; of a picture that says neither, both stay empty, and the study is new. pydicom is imported
only when one is written.
"""

from __future__ import annotations

import io
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge_runtime import __version__
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What the report has in common with its source; of type 2 (PS3.5 7.4.3): there, and empty where it is not known.
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
_ALSO = ("IssuerOfPatientID", "StudyDescription")  # type 3: only where it is known
_MAGIC = b"DICM"


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file says so (PS3.10 7.1). Raises OSError."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == _MAGIC


def encapsulated(
    pdf: bytes, title: str, model: str, when: datetime, source: str | os.PathLike[str] | None = None
) -> bytes:
    """A DICOM file that holds `pdf`. model: what wrote it. when: with its time zone. source: the DICOM file that the
    report is about, whose patient and study it takes; None where there is none.

    Raises UserError when pydicom is not installed, or the source cannot be read.
    """
    try:
        import pydicom
    except ImportError:
        raise UserError("a DICOM file needs the extra ecg; pip install 'pulse-edge[ecg]'") from None
    before = None if source is None else pydicom.dcmread(source, stop_before_pixels=True)
    whole = _about(before)
    whole.SOPClassUID, whole.SOPInstanceUID = pydicom.uid.EncapsulatedPDFStorage, pydicom.uid.generate_uid(None)
    whole.SeriesInstanceUID, whole.SeriesNumber, whole.InstanceNumber = pydicom.uid.generate_uid(None), 1, 1
    whole.Modality, whole.ConversionType = "DOC", "WSD"  # a document, from a workstation
    whole.Manufacturer, whole.ManufacturerModelName, whole.SoftwareVersions = "pulse-edge", model[:64], __version__
    whole.ContentDate, whole.ContentTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S")
    whole.TimezoneOffsetFromUTC = when.strftime("%z")
    whole.AcquisitionDateTime = _acquired(before)
    whole.BurnedInAnnotation = "YES"  # the page may show a name
    whole.VerificationFlag = "UNVERIFIED"
    whole.DocumentTitle, whole.ConceptNameCodeSequence = title, [_code("11524-6", "LN", "EKG study")]
    whole.MIMETypeOfEncapsulatedDocument, whole.EncapsulatedDocumentLength = "application/pdf", len(pdf)
    whole.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    if before is not None and "SOPInstanceUID" in before and "SOPClassUID" in before:
        whole.SourceInstanceSequence = [_reference(before)]
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = io.BytesIO()
    whole.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _about(before: Dataset | None) -> Dataset:
    """Patient and study. Values are written anew, in UTF-8, whatever the source's letters were written in."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    whole, known = Dataset(), before if before is not None else Dataset()
    known.decode()
    whole.SpecificCharacterSet = "ISO_IR 192"
    for name in (*_PATIENT, *_STUDY):
        setattr(whole, name, str(known.get(name) or ""))
    for name in _ALSO:
        if known.get(name):
            setattr(whole, name, str(known.get(name)))
    whole.StudyInstanceUID = known.get("StudyInstanceUID") or generate_uid(None)
    return whole


def _acquired(before: Dataset | None) -> str:
    if before is None:
        return ""
    date, time = (str(before.get(f"Acquisition{what}") or "") for what in ("Date", "Time"))
    return str(before.get("AcquisitionDateTime") or (date + time if date else ""))


def _code(value: str, scheme: str, meaning: str) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _reference(before: Dataset) -> Any:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = before.SOPClassUID, before.SOPInstanceUID
    return item
