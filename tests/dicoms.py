"""DICOM files that the tests make themselves."""

from __future__ import annotations

import io
from typing import Any


def dicom(**fields: Any) -> bytes:
    """The bytes of a DICOM file with these elements; where no class is given, of a secondary capture."""
    import pydicom

    whole = pydicom.dataset.Dataset()
    whole.SOPClassUID, whole.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, pydicom.uid.generate_uid()
    for name, value in fields.items():
        setattr(whole, name, value)
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file = io.BytesIO()
    whole.save_as(file, enforce_file_format=True)
    return file.getvalue()
