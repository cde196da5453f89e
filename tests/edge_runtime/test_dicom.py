"""Pictures and PDFs that hospitals' systems hand out inside DICOM files."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from edge_runtime import image as pictures
from edge_runtime.errors import UserError
from edge_runtime.image import load
from tests.dicoms import dicom

pydicom = pytest.importorskip("pydicom")


def scan(values, photometric="MONOCHROME2", **fields):
    colour = values.ndim == 3 and values.shape[-1] == 3
    bits = values.dtype.itemsize * 8
    return dicom(
        Rows=values.shape[-3 if colour else -2],
        Columns=values.shape[-2 if colour else -1],
        SamplesPerPixel=3 if colour else 1,
        PhotometricInterpretation="RGB" if colour else photometric,
        PlanarConfiguration=0 if colour else None,
        BitsAllocated=bits,
        BitsStored=fields.pop("BitsStored", bits),
        HighBit=bits - 1,
        PixelRepresentation=0,
        PixelData=values.tobytes(),
        **fields,
    )


def test_scans_of_8_and_12_bits_in_grey_and_colour():
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (40, 1))
    np.testing.assert_array_equal(np.asarray(load(scan(grey)))[..., 1], grey)
    np.testing.assert_array_equal(np.asarray(load(scan(grey, "MONOCHROME1")))[..., 1], 255 - grey)
    wide = grey.astype(np.uint16) << 4
    np.testing.assert_array_equal(np.asarray(load(scan(wide, BitsStored=12)))[..., 0], grey)
    colour = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    np.testing.assert_array_equal(np.asarray(load(scan(colour))), colour)


def test_frames_are_pages():
    frames = np.stack([np.full((40, 64), value, np.uint8) for value in (255, 9)])
    data = scan(frames, NumberOfFrames="2")
    assert [load(data, page=page).getpixel((3, 3))[0] for page in (1, 2)] == [255, 9]
    with pytest.raises(UserError, match=r"has 2 frame\(s\), so page 3 does not exist"):
        load(data, page=3)


def test_a_pdf_inside():
    buffer = io.BytesIO()
    Image.new("RGB", (220, 170), (255, 0, 0)).save(buffer, "PDF")
    picture = load(dicom(MIMETypeOfEncapsulatedDocument="application/pdf", EncapsulatedDocument=buffer.getvalue()))
    assert picture.size == (2200, 1700)
    assert picture.getpixel((900, 900))[0] > 200


def test_what_cannot_be_shown_is_one_line(monkeypatch):
    with pytest.raises(UserError, match="is a DICOM file without a picture; a waveform is a record"):
        load(dicom(PatientID="x"))
    data = scan(np.full((40, 64), 9, np.uint8))
    with pytest.raises(UserError, match="cannot be read as DICOM"):
        load(data[: len(data) - 999])
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2000)
    with pytest.raises(UserError, match="has 2560 pixels, above the limit"):
        load(data)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"needs the extra ecg; pip install"):
        load(data)
