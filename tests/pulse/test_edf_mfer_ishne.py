"""EDF written by edfio; MFER and ISHNE laid out here byte for byte from their published tables: rate, leads, gain and
unit come back, and what would be wrong in silence is one line.

EDF: https://www.edfplus.info/specs. MFER: MFER Part 1 version 1.05 (ISO 22077-1), https://www.mfer.org/en/document.htm.
ISHNE: Badilini 1998, Ann Noninvasive Electrocardiol 3(3):263-266.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pulse.ecg.read import read_record
from pulse.ecg.record import LEADS, RecordError

edfio = pytest.importorskip("edfio")
pytest.importorskip("ecgdatakit")

FS, SECONDS = 250, 4
STEP_NV = 2500
MFER_CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))  # MFER Part 1, Table 5-17
ISHNE_CODES = dict(zip(LEADS, range(5, 17), strict=True))  # Badilini's Table 1


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Samples [12, 1000] that int16 holds: another wave in each lead, up to 2 mV at 2.5 microvolts a step."""
    seconds = np.arange(FS * SECONDS) / FS
    return np.stack([np.round((300 + 40 * k) * np.sin(2 * np.pi * (1 + k / 7) * seconds)) for k in range(12)]).astype(
        int
    )


def edf(path: Path, counts: np.ndarray, dimension: str = "mV", per_mv: float = 1.0, fs: float = FS, **more) -> None:
    """more: further signals, and edfio's own keywords."""
    signals = [
        edfio.EdfSignal(
            row * STEP_NV / 1e6 * per_mv,
            fs,
            label=f"ECG {lead}",
            physical_dimension=dimension,
            physical_range=(-5 * per_mv, 5 * per_mv),
        )
        for lead, row in zip(LEADS, counts, strict=True)
    ]
    edfio.Edf([*signals, *more.pop("others", [])], **more).write(path)


def close(record, counts: np.ndarray, of_millivolts: float = 1e-4) -> None:
    np.testing.assert_allclose(record.signal, counts * STEP_NV / 1e6, atol=of_millivolts)


@pytest.mark.parametrize(("dimension", "per_mv"), [("mV", 1.0), ("uV", 1000.0), ("V", 0.001), ("µV", 1000.0)])
def test_edf_in_each_unit(dimension: str, per_mv: float, counts: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    edf(path, counts, "uV" if dimension == "µV" else dimension, per_mv)
    if dimension == "µV":  # in Latin-1, as recorders write it: edfio keeps to the specification's ASCII
        path.write_bytes(path.read_bytes().replace(b"uV      ", b"\xb5V      "))
    record = read_record(path)
    close(record, counts)
    assert (record.fs, record.seconds, record.repairs) == (FS, SECONDS, ())


def test_edf_plus_with_annotations_and_a_slower_signal(counts: np.ndarray, tmp_path: Path) -> None:
    breath = edfio.EdfSignal(np.sin(np.arange(25 * SECONDS) / 25), 25, label="Resp", physical_dimension="")
    patient = edfio.Patient(code="X", sex="F")
    notes = [edfio.EdfAnnotation(1.0, None, "Beginn des Anfalls")]
    edf(tmp_path / "a.edf", counts, others=[breath], annotations=notes, patient=patient)
    record = read_record(tmp_path / "a.edf")
    close(record, counts)
    assert (record.fs, record.sex) == (FS, "female")
    assert record.repairs == ("not among the twelve leads and dropped: Resp",)


def test_edf_keeps_a_rate_that_is_no_whole_number(counts: np.ndarray, tmp_path: Path) -> None:
    edf(tmp_path / "a.edf", counts, fs=250 / 1.001, data_record_duration=1.001)
    assert read_record(tmp_path / "a.edf").fs == pytest.approx(249.75025, abs=1e-5)


def test_edf_with_leads_of_two_rates_is_refused(counts: np.ndarray, tmp_path: Path) -> None:
    slow = edfio.EdfSignal(np.zeros(125 * SECONDS), 125, label="V6", physical_range=(-5, 5), physical_dimension="mV")
    fast = [
        edfio.EdfSignal(row / 400, FS, label=lead, physical_dimension="mV", physical_range=(-5, 5))
        for lead, row in zip(LEADS[:11], counts, strict=False)
    ]
    edfio.Edf([*fast, slow]).write(tmp_path / "a.edf")
    with pytest.raises(RecordError, match="its leads have different rates"):
        read_record(tmp_path / "a.edf")


def test_edf_without_a_unit_is_refused(counts: np.ndarray, tmp_path: Path) -> None:
    edf(tmp_path / "a.edf", counts, "")
    with pytest.raises(RecordError, match=r"says no gain or unit of lead I, .*; export it again with both"):
        read_record(tmp_path / "a.edf")


def discontinuous(path: Path, onsets: list[int]) -> None:
    """edfio writes whole files alone: the parts' onsets are written anew in their time-keeping annotations."""
    raw = path.read_bytes()
    for k, onset in enumerate(onsets):
        before, after = (b"+%d\x14\x14\x00" % at for at in (k, onset))
        assert raw.count(before) == 1
        raw = raw.replace(before, after)
    path.write_bytes(raw.replace(b"EDF+C", b"EDF+D"))


def test_edf_in_parts(counts: np.ndarray, tmp_path: Path) -> None:
    """EDF+D without a gap is read; with one, or with parts whose beginnings nobody knows, it is refused."""
    path = tmp_path / "a.edf"
    edf(path, counts, annotations=[edfio.EdfAnnotation(0, None, "x")], data_record_duration=1)
    discontinuous(path, [0, 1, 2, 3])
    close(read_record(path), counts)
    discontinuous(path, [0, 1, 7, 8])
    with pytest.raises(RecordError, match="has no samples from 2 to 7 s; export one unbroken part of it"):
        read_record(path)
    edf(path, counts, data_record_duration=1)
    raw = path.read_bytes()
    path.write_bytes(raw[:192] + b"EDF+D".ljust(44) + raw[236:])
    with pytest.raises(RecordError, match="does not say when its parts begin"):
        read_record(path)


def test_edf_that_is_cut_off_says_so(counts: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.edf"
    edf(path, counts, data_record_duration=1)
    path.write_bytes(path.read_bytes()[:-100])
    record = read_record(path)
    close(record, counts[:, : 3 * FS])
    assert any("only 3 are complete" in repair for repair in record.repairs)


def define(tag: int, value: bytes) -> bytes:
    """A definition: tag, length (one byte, or 0x84 and four), value."""
    length = bytes([len(value)]) if len(value) < 128 else b"\x84" + struct.pack(">I", len(value))
    return bytes([tag]) + length + value


def mfer(counts: np.ndarray, big: bool, sensitivity: bytes, head: bytes = b"") -> bytes:
    """A standard 12-lead ECG: one block of all samples for each channel. sensitivity: unit, exponent and mantissa."""
    order = ">" if big else "<"
    number = lambda form, value: struct.pack(order + form, value)  # noqa: E731
    whole = define(0x40, b"MFR Standard 12 leads ECG".ljust(32)) + define(0x01, b"\0" if big else b"\1")
    whole += define(0x08, number("H", 1)) + define(0x0B, b"\0\0" + number("H", FS))  # Hz, 10^0
    whole += define(0x0C, sensitivity) + define(0x04, number("I", counts.shape[1])) + define(0x05, bytes([12]))
    whole += define(0x06, number("H", 1)) + define(0x0A, b"\0") + head  # one sequence, int16
    for k, code in enumerate(MFER_CODES.values()):
        whole += b"\x3f" + bytes([k]) + bytes([4]) + define(0x09, number("H", code))
    return whole + define(0x1E, counts.astype(order + "i2").tobytes()) + b"\x80\0"


@pytest.mark.parametrize("big", [True, False])
@pytest.mark.parametrize("exponent", [-9, -8])
def test_mfer(big: bool, exponent: int, counts: np.ndarray, tmp_path: Path) -> None:
    steps = STEP_NV // 10 ** (exponent + 9)  # volts times ten to the exponent
    sensitivity = struct.pack((">" if big else "<") + "H", steps)
    (tmp_path / "a.mwf").write_bytes(mfer(counts, big, b"\0" + struct.pack("b", exponent) + sensitivity))
    record = read_record(tmp_path / "a.mwf")
    close(record, counts, 1e-6)
    assert (record.fs, record.repairs) == (FS, ())


def test_mfer_with_lost_samples_or_another_unit(counts: np.ndarray, tmp_path: Path) -> None:
    lost = counts.copy()
    lost[4, 100:110] = -32768
    null = define(0x12, struct.pack(">h", -32768))
    (tmp_path / "a.mwf").write_bytes(mfer(lost, True, b"\0\xf7" + struct.pack(">H", STEP_NV), null))
    assert read_record(tmp_path / "a.mwf").repairs == ("lead aVL: 1 gap(s) of at most 0.04 s were interpolated",)
    (tmp_path / "a.mwf").write_bytes(mfer(counts, True, b"\1\xf7" + struct.pack(">H", STEP_NV)))  # mmHg
    with pytest.raises(RecordError, match="says no gain or unit of lead I"):
        read_record(tmp_path / "a.mwf")


def test_mfer_with_an_offset_is_refused(counts: np.ndarray, tmp_path: Path) -> None:
    """ecgdatakit adds it in steps, BIOSIG's mwfopen in the unit, and the published tables do not say."""
    for offset in (0, 2048):
        head = define(0x0D, struct.pack(">h", offset))
        (tmp_path / "a.mwf").write_bytes(mfer(counts, True, b"\0\xf7" + struct.pack(">H", STEP_NV), head))
        if offset == 0:
            close(read_record(tmp_path / "a.mwf"), counts, 1e-6)
        else:
            with pytest.raises(RecordError, match=r"gives lead I an offset, .*; export it without one"):
                read_record(tmp_path / "a.mwf")


def test_mfer_in_two_frames(counts: np.ndarray, tmp_path: Path) -> None:
    """Frames that follow each other are one record; a pointer that leaves time out is refused."""
    half = counts.shape[1] // 2
    sensitivity = b"\0\xf7" + struct.pack(">H", STEP_NV)
    first = mfer(counts[:, :half], True, sensitivity).removesuffix(b"\x80\0")
    for begin, whole in ((half, True), (half + FS, False)):
        second = define(0x07, struct.pack(">I", begin)) + define(0x1E, counts[:, half:].astype(">i2").tobytes())
        (tmp_path / "a.mwf").write_bytes(first + second + b"\x80\0")
        if whole:
            close(read_record(tmp_path / "a.mwf"), counts, 1e-6)
        else:
            with pytest.raises(RecordError, match="has no samples from 2 to 3 s"):
                read_record(tmp_path / "a.mwf")


def ishne(counts: np.ndarray, nanovolts: int = STEP_NV) -> bytes:
    """Magic, checksum (0: none), 512 bytes of header, then the samples of all leads in turn."""
    twelve = lambda values: struct.pack("<12h", *values)  # noqa: E731
    head = struct.pack("<4i", 0, counts.shape[1], 522, 522) + struct.pack("<h", 1)
    head += b"Ana".ljust(40, b"\0") + b"Sample".ljust(40, b"\0") + b"7".ljust(20, b"\0")
    head += struct.pack("<2h", 2, 0) + struct.pack("<9h", 1, 2, 1960, 3, 4, 2024, 3, 4, 2024)
    head += struct.pack("<3h", 8, 30, 0) + struct.pack("<h", 12)
    head += twelve(ISHNE_CODES.values()) + twelve([1] * 12) + twelve([nanovolts] * 12)
    head += struct.pack("<h", 0) + b"digital".ljust(40, b"\0") + struct.pack("<h", FS)
    return b"ISHNE1.0\0\0" + head.ljust(512, b"\0") + counts.T.astype("<i2").tobytes()


def test_ishne(counts: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.ecg").write_bytes(ishne(counts))
    record = read_record(tmp_path / "a.ecg")
    close(record, counts, 1e-6)
    assert (record.fs, record.sex, record.repairs) == (FS, "female", ())


@pytest.mark.parametrize("nanovolts", [100, 1000, STEP_NV])
def test_ishne_without_an_electrode_is_no_voltage(nanovolts: int, counts: np.ndarray, tmp_path: Path) -> None:
    lost = counts.copy()
    lost[7, 300:320] = -32768
    (tmp_path / "a.ecg").write_bytes(ishne(lost, nanovolts))
    record = read_record(tmp_path / "a.ecg")
    assert record.repairs == ("lead V2: 1 gap(s) of at most 0.08 s were interpolated",)
    assert record.lead("V2").min() == pytest.approx(counts[7].min() * nanovolts / 1e6, abs=1e-6)


def test_ishne_without_a_gain_is_refused(counts: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.ecg").write_bytes(ishne(counts, 0))
    with pytest.raises(RecordError, match="says no gain or unit of lead I"):
        read_record(tmp_path / "a.ecg")
