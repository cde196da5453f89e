"""Recorders' own files, made here as the standards lay them out: the same samples come back, with what was measured."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from pulse.ecg.formats.wfdb import read_wfdb
from pulse.ecg.read import read_record
from pulse.ecg.record import LEADS, RecordError

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("ecgdatakit")

REAL = Path(__file__).parents[1] / "data" / "ptbxl" / "records100" / "00000" / "00010_lr"
STEP = 0.00488  # mV, the step of MUSE's own files
CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))  # SCP-ECG's numbers of the leads


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Samples int16 [12, 1000] of a record at 100 Hz, in steps."""
    return np.round(read_wfdb(REAL).signal / STEP).astype(np.int16)


def muse(counts: np.ndarray) -> str:
    """A MUSE XML of the eight leads that it stores."""
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>{2 * counts.shape[1]}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>"
        f"<LeadSampleCountTotal>{counts.shape[1]}</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>{1000 * STEP:g}"
        f"</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID>"
        f"<WaveFormData>{base64.b64encode(row.astype('<i2').tobytes()).decode()}</WaveFormData></LeadData>"
        for lead, row in zip(LEADS, counts, strict=True)
        if lead in ("I", "II") or lead.startswith("V")
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?><RestingECG><PatientDemographics><PatientAge>64</PatientAge>'
        "<AgeUnits>YEARS</AgeUnits>"
        "<Gender>FEMALE</Gender></PatientDemographics><RestingECGMeasurements><VentricularRate>81</VentricularRate>"
        "<PRInterval>160</PRInterval><QRSDuration>92</QRSDuration><QTInterval>380</QTInterval><RAxis>-12</RAxis>"
        "</RestingECGMeasurements><Waveform><WaveformType>Rhythm</WaveformType><NumberofLeads>8</NumberofLeads>"
        f"<SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>100</SampleBase><SampleExponent>0</SampleExponent>{leads}"
        "</Waveform></RestingECG>"
    )


def dicom(counts: np.ndarray, path: Path, padding: int | None = None) -> None:
    """A 12-Lead ECG Waveform Storage object (DICOM PS3.3 A.34.3); padding: the code of lost samples."""
    sequence, dataset = pydicom.sequence.Sequence, pydicom.dataset.Dataset
    channels = []
    for lead in LEADS:
        channel, source, unit = dataset(), dataset(), dataset()
        source.CodeValue, source.CodingSchemeDesignator = f"5.6.3-9-{CODES[lead]}", "SCPECG"
        source.CodeMeaning = f"Lead {lead}"
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mV", "UCUM", "millivolt"
        channel.ChannelSourceSequence, channel.ChannelSensitivityUnitsSequence = sequence([source]), sequence([unit])
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = f"{STEP:g}", "1"
        channel.ChannelBaseline, channel.WaveformBitsStored = "0", 16
        channels.append(channel)
    group = dataset()
    group.WaveformOriginality, group.NumberOfWaveformChannels = "ORIGINAL", len(LEADS)
    group.NumberOfWaveformSamples, group.SamplingFrequency = counts.shape[1], "100"
    group.ChannelDefinitionSequence = sequence(channels)
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.add_new("WaveformData", "OW", np.ascontiguousarray(counts.T, "<i2").tobytes())
    if padding is not None:
        group.add_new("WaveformPaddingValue", "OW", np.array(padding, "<i2").tobytes())
    whole = dataset()
    whole.SOPClassUID, whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.1", pydicom.uid.generate_uid()
    whole.Modality, whole.PatientSex, whole.PatientAge = "ECG", "F", "064Y"
    whole.WaveformSequence = sequence([group])
    whole.file_meta = pydicom.dataset.FileMetaDataset()
    whole.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    whole.save_as(path, enforce_file_format=True)


def test_muse_xml(counts: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(muse(counts))
    record = read_record(path)
    for lead in ("I", "II", "V1", "V6"):
        np.testing.assert_allclose(record.lead(lead), counts[LEADS.index(lead)] * STEP, atol=1e-5)
    assert (record.fs, record.age, record.sex) == (100, 64, "female")
    assert record.repairs == ("computed from leads I and II: III, aVR, aVL, aVF",)
    measured = {"rate": 81, "pr_ms": 160, "qrs_ms": 92, "qt_ms": 380, "qrs_axis": -12}
    assert {name: record.measurements[name] for name in measured} == measured


def test_dicom(counts: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dicom(counts, tmp_path / "a.dcm")
    record = read_record(tmp_path / "a.dcm")
    np.testing.assert_allclose(record.signal, counts * STEP, atol=1e-5)
    assert (record.fs, record.age, record.sex, record.repairs) == (100, 64, "female", ())
    assert capfd.readouterr() == ("", "")


def test_dicom_that_pads_with_zero_has_no_gaps_where_a_lead_crosses_it(counts: np.ndarray, tmp_path: Path) -> None:
    assert (counts == 0).any(axis=1).all()
    dicom(counts, tmp_path / "a.dcm", padding=0)
    record = read_record(tmp_path / "a.dcm")
    np.testing.assert_allclose(record.signal, counts * STEP, atol=1e-5)
    assert record.repairs == ()


def test_dicom_that_pads_with_another_code_has_gaps_there(counts: np.ndarray, tmp_path: Path) -> None:
    lost = counts.copy()
    lost[0, 500:504] = -32768
    dicom(lost, tmp_path / "a.dcm", padding=-32768)
    record = read_record(tmp_path / "a.dcm")
    assert record.repairs == ("lead I: 1 gap(s) of at most 0.04 s were interpolated",)
    assert abs(record.lead("I")[500:504]).max() < 5


@pytest.mark.parametrize("name", ["a.xml", "a.dcm", "a.scp", "a.edf"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"<?xml version='1.0'?><a/>"])
def test_what_is_none_is_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=r"is no DICOM, SCP-ECG, aECG, .* file that can be read"):
        read_record(tmp_path / name)


def test_a_file_that_is_cut_off_is_one_line(counts: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(muse(counts)[:3000])
    dicom(counts, tmp_path / "a.dcm")
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: len(whole) // 2])
    for name in ("a.xml", "a.dcm"):
        with pytest.raises(RecordError):
            read_record(tmp_path / name)


# --- HDF5 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_hdf5_with_one_array(turned: bool, counts: np.ndarray, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/ecg"] = (counts.T if turned else counts) * STEP
    np.testing.assert_allclose(read_record(tmp_path / "a.h5", fs=100).signal, counts * STEP, atol=1e-5)
    with pytest.raises(RecordError, match="does not say its sampling rate; give fs"):
        read_record(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["other"] = np.zeros((3, 4))
    with pytest.raises(RecordError, match=r"holds float64 \[.*; save one array of numbers as \[12, n\] or \[n, 12\]"):
        read_record(tmp_path / "a.h5", fs=100)


def test_code15s_exams_by_number(counts: np.ndarray, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "exams_part0.hdf5"
    padded = np.zeros((2, 4096, 12), np.float32)
    # 400 Hz: as long as 2.5 s; CODE-15 centres each tracing among zeros
    padded[1, 1548:2548] = counts.T * STEP * 10
    with h5py.File(path, "w") as file:
        file["exam_id"], file["tracings"] = np.array([590673, 1169160]), padded
    record = read_record(f"{path}#1169160")
    np.testing.assert_allclose(record.signal, counts[:, : record.signal.shape[1]] * STEP, atol=1e-5)
    assert (record.fs, record.name) == (400, "1169160")
    with pytest.raises(RecordError, match=r"holds 2 exams; name one of them, like .*exams_part0\.hdf5#590673"):
        read_record(path)
    with pytest.raises(RecordError, match="does not hold exam 7"):
        read_record(f"{path}#7")
    with pytest.raises(RecordError, match="rate, leads and unit are known"):
        read_record(f"{path}#590673", fs=400)


def test_hdf5_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "a.h5").write_bytes(b"no such thing")
    with pytest.raises(RecordError, match="is no HDF5 file that can be read"):
        read_record(tmp_path / "a.h5", fs=100)
    with pytest.raises(RecordError, match="is not there"):
        read_record(tmp_path / "b.h5#3")
