"""Reports that pulse-ask writes: PDF, picture, and the PDF inside a DICOM file of the input's own study."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from edge_runtime.answer import Answer, Timing
from edge_runtime.ask import main
from edge_runtime.bundle import Provenance
from edge_runtime.findings import Finding
from edge_runtime.report import answered
from edge_runtime.report.dicom import encapsulated

pydicom = pytest.importorskip("pydicom")
MODEL = Provenance("nano", "onnx", "For research use only.", "ab" * 32, None)
WHEN = datetime(2026, 11, 29, 20, 15, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A scan as a hospital's archive has it, with a name in Latin-1."""
    whole = pydicom.dataset.Dataset()
    whole.SpecificCharacterSet = "ISO_IR 100"
    whole.SOPClassUID, whole.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, pydicom.uid.generate_uid()
    whole.StudyInstanceUID, whole.SeriesInstanceUID = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
    whole.PatientName, whole.PatientID, whole.PatientSex = "Müller^Käthe", "4711", "F"
    whole.PatientBirthDate, whole.StudyDate, whole.StudyTime = "19400101", "20261128", "081500"
    whole.AccessionNumber, whole.StudyID, whole.IssuerOfPatientID = "A-9", "7", "Ward 3"
    whole.AcquisitionDate, whole.AcquisitionTime = "20261128", "081433"
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (40, 1))
    whole.Rows, whole.Columns, whole.SamplesPerPixel, whole.PhotometricInterpretation = 40, 64, 1, "MONOCHROME2"
    whole.BitsAllocated = whole.BitsStored = 8
    whole.HighBit, whole.PixelRepresentation, whole.PixelData = 7, 0, grey.tobytes()
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = tmp_path_factory.mktemp("dicom") / "scan.dcm"
    whole.save_as(path, enforce_file_format=True)
    return path


def asked(tiny, picture, out, *options):
    assert main([str(tiny.folder), str(picture), "normal?", "--report", str(out), "--threads", "1", *options]) == 0
    return out


def test_a_report_of_a_dicom_file_belongs_to_its_study(tiny, study, tmp_path):
    before = pydicom.dcmread(study)
    written = pydicom.dcmread(asked(tiny, study, tmp_path / "a.dcm"))
    for name in ("StudyInstanceUID", "PatientID", "PatientSex", "PatientBirthDate", "StudyDate", "StudyTime"):
        assert written[name].value == before[name].value
    assert (written.AccessionNumber, written.StudyID, written.IssuerOfPatientID) == ("A-9", "7", "Ward 3")
    assert str(written.PatientName) == "Müller^Käthe"
    assert (written.SpecificCharacterSet, written.ReferringPhysicianName) == ("ISO_IR 192", "")
    assert written.AcquisitionDateTime == "20261128081433"
    assert (
        len({written.SeriesInstanceUID, written.SOPInstanceUID, before.SeriesInstanceUID, before.SOPInstanceUID}) == 4
    )
    (source,) = written.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert source.ReferencedSOPClassUID == before.SOPClassUID
    # PS3.3 A.45.1, PS3.6: what every such file says.
    assert written.SOPClassUID == written.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID
    assert (written.Modality, written.ConversionType, written.BurnedInAnnotation) == ("DOC", "WSD", "YES")
    assert (written.MIMETypeOfEncapsulatedDocument, written.VerificationFlag) == ("application/pdf", "UNVERIFIED")
    assert len(written.EncapsulatedDocument) % 2 == 0
    pdf = written.EncapsulatedDocument[: written.EncapsulatedDocumentLength]
    assert pdf.rstrip().endswith(b"%%EOF")
    assert pypdfium2.PdfDocument(pdf)[0].get_size() == pytest.approx((595, 842), abs=1)


def test_the_report_of_one_of_its_frames_does_too(tiny, study, tmp_path):
    written = pydicom.dcmread(asked(tiny, f"{study}#1", tmp_path / "a.dcm"))
    assert written.StudyInstanceUID == pydicom.dcmread(study).StudyInstanceUID
    assert str(written.PatientName) == "M\u00fcller^K\u00e4the"


def test_of_any_other_picture_patient_and_study_stay_open(tiny, page, tmp_path):
    Image.fromarray(page).save(tmp_path / "page.png")
    first, second = (
        pydicom.dcmread(asked(tiny, tmp_path / "page.png", tmp_path / name)) for name in ("a.dcm", "b.dcm")
    )
    assert first.StudyInstanceUID != second.StudyInstanceUID
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert name in first
        assert not first[name].value
    assert "SourceInstanceSequence" not in first


def test_an_odd_length_is_filled_up_and_said():
    file = pydicom.dcmread(io.BytesIO(encapsulated(b"%PDF-1.4 odd", "t", "m", WHEN)))
    assert (file.EncapsulatedDocument, file.EncapsulatedDocumentLength) == (b"%PDF-1.4 odd", 12)
    file = pydicom.dcmread(io.BytesIO(encapsulated(b"%PDF-1.4 odd!", "t", "m", WHEN)))
    assert (file.EncapsulatedDocument, file.EncapsulatedDocumentLength) == (b"%PDF-1.4 odd!\0", 13)
    assert (file.ContentDate, file.ContentTime, file.TimezoneOffsetFromUTC) == ("20261129", "201503", "+0000")


def test_pdf_and_png_hold_the_page(tiny, page, tmp_path, capsys):
    Image.fromarray(page).save(tmp_path / "page.png")
    asked(tiny, tmp_path / "page.png", tmp_path / "a.png", "--json")
    assert capsys.readouterr().out.startswith("{")
    sheet = Image.open(tmp_path / "a.png")
    assert sheet.size == (1240, 1754)
    asked(tiny, tmp_path / "page.png", tmp_path / "a.PDF")
    drawn = pypdfium2.PdfDocument(tmp_path / "a.PDF")[0].render(scale=150 / 72).to_pil().resize(sheet.size)
    assert np.abs(np.asarray(drawn.convert("L"), float) - np.asarray(sheet.convert("L"))).mean() < 4


def test_letters_that_the_typeface_lacks_are_escaped():
    findings = [Finding("MI", "myocardial infarction", 0.5, 0.3, 0.71, 0.806)]
    answer = Answer("Größe", [], "stop", findings, 0.9, Timing(*7 * [0]), None, ("é",))
    made = answered.report(answer, "心?", Image.new("RGB", (40, 30)), MODEL, WHEN, "measured: rate 71 /min")
    assert (made.turns[0].question, made.turns[0].answer) == (r"\u5fc3?", r"Gr\xf6\xdfe")
    assert made.turns[0].aside.endswith(r"\xe9")
    assert made.findings[0].worth == "Sensitivity 71 %, precision 81 %"
    assert made.origin[:2] == ("measured: rate 71 /min", "Time: 2026-11-29 20:15:03 UTC")


@pytest.mark.parametrize(
    ("name", "said"), [("a.doc", "is a .pdf, .png or .dcm"), ("gone/a.pdf", "its folder is not there")]
)
def test_where_no_report_can_be_written_is_said_at_once(tiny, name, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([str(tiny.folder), "no such picture", "--report", name]) == 2
    assert said in capsys.readouterr().err


def test_without_pydicom_it_is_one_line(tiny, page, tmp_path, monkeypatch, capsys):
    Image.fromarray(page).save(tmp_path / "page.png")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert main([str(tiny.folder), str(tmp_path / "page.png"), "--report", str(tmp_path / "a.dcm")]) == 2
    assert "needs the extra ecg" in capsys.readouterr().err
    assert not (tmp_path / "a.dcm").exists()
