"""Which pages a file has, and what each looks like when it is small."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edge_runtime import ask, image, pages
from edge_runtime.errors import UserError
from tests.dicoms import dicom

GREYS = (40, 120, 200)


@pytest.fixture
def sheets():
    return [Image.new("RGB", (300, 200), (grey, grey, grey)) for grey in GREYS]


def written(sheets, kind):
    file = io.BytesIO()
    sheets[0].save(file, kind, save_all=True, append_images=sheets[1:])
    return file.getvalue()


@pytest.mark.parametrize(("kind", "suffix"), [("PDF", ".pdf"), ("TIFF", ".tif"), ("TIFF", ".TIFF")])
def test_pages_are_counted_and_drawn_small(kind, suffix, sheets, tmp_path):
    path = tmp_path / f"fax{suffix}"
    path.write_bytes(written(sheets, kind))
    for source in (path, path.read_bytes()):
        assert pages.count(source) == 3
        small = [pages.thumbnail(source, page, 90) for page in (1, 2, 3)]
        assert [picture.size for picture in small] == [(90, 60)] * 3
        assert [picture.getpixel((45, 30))[0] for picture in small] == pytest.approx(GREYS, abs=3)
        with pytest.raises(UserError, match=r"has 3 page\(s\), so page 4 does not exist"):
            pages.thumbnail(source, 4, 90)
    for page, grey in enumerate(GREYS, 1):
        assert image.load(f"{path}#{page}").getpixel((100, 100))[0] == pytest.approx(grey, abs=3)


def test_a_dicom_file_has_its_frames_or_its_pdfs_pages(sheets):
    pytest.importorskip("pydicom")

    values = np.stack([np.full((64, 80), grey, np.uint8) for grey in GREYS])
    about = {"Rows": 64, "Columns": 80, "SamplesPerPixel": 1, "PixelRepresentation": 0}
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    grey = {"PhotometricInterpretation": "MONOCHROME2", "NumberOfFrames": 3, "PixelData": values.tobytes()}
    frames = dicom(**about, **bits, **grey)
    assert pages.count(frames) == 3
    assert [pages.thumbnail(frames, page, 40).getpixel((9, 9))[0] for page in (1, 2, 3)] == list(GREYS)
    assert pages.count(dicom(EncapsulatedDocument=written(sheets, "PDF"), MIMETypeOfEncapsulatedDocument="")) == 3
    # A palette's numbers are no greys: 0 is white here.
    table = {}
    for name in ("Red", "Green", "Blue"):
        table[f"{name}PaletteColorLookupTableDescriptor"] = [2, 0, 8]
        table[f"{name}PaletteColorLookupTableData"] = bytes([255, 10])
    coloured = dicom(
        **about, **bits, **table, PhotometricInterpretation="PALETTE COLOR", PixelData=bytes([0, 1] * 64 * 40)
    )
    assert np.asarray(image.load(coloured))[0, :2].tolist() == [[255] * 3, [10] * 3]


def test_other_pictures_have_one(sheets, tmp_path):
    sheets[0].save(tmp_path / "a.png")
    assert pages.count(tmp_path / "a.png") == 1
    assert pages.note(tmp_path / "a.png") == ""
    with pytest.raises(UserError, match="does not exist"):
        pages.count(tmp_path / "b.png")
    (tmp_path / "c.tif").write_bytes(b"II*\0" + b"\xff" * 8)
    with pytest.raises(UserError, match="is damaged or cut off"):
        pages.count(tmp_path / "c.tif")


def test_pulse_ask_says_that_there_are_more(sheets, tmp_path, capsys):
    path = tmp_path / "fax.tif"
    path.write_bytes(written(sheets, "TIFF"))
    assert ask.main(["pulse-nano", str(path), "--no-findings"]) == 0
    assert f"pulse-ask: {path} has 3 pages; this is the first (fax.tif#2 is the next)\n" in capsys.readouterr().err
    assert ask.main(["pulse-nano", f"{path}#1", "--no-findings"]) == 0
    assert "pages" not in capsys.readouterr().err
