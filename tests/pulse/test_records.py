"""Readers and the check behind them: what is repaired is stated, what cannot be is refused with the fix."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from pulse.ecg.check import checked, lead_name, millivolts
from pulse.ecg.formats.wfdb import read_wfdb
from pulse.ecg.read import read_record
from pulse.ecg.record import LEADS, Record, RecordError

PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"
REAL = PTBXL / "records100" / "00000" / "00010_lr"
FS = 100.0


@pytest.fixture(scope="module")
def real() -> Record:
    return read_wfdb(REAL)


@pytest.fixture
def signal(real: Record) -> np.ndarray:
    return real.signal.copy()


# --- check ----------------------------------------------------------------------------------------


def test_a_good_record_is_left_as_it_is(signal: np.ndarray) -> None:
    record = checked(signal, LEADS, FS, name="x")
    assert (record.fs, record.name, record.repairs, record.signal.dtype) == (FS, "x", (), np.float32)
    np.testing.assert_array_equal(record.signal, signal)


@pytest.mark.parametrize(
    ("text", "lead"),
    [("AVR", "aVR"), ("avf", "aVF"), (" v3 ", "V3"), ("Lead II", "II"), ("DIII", "III"), ("MDC_ECG_LEAD_AVL", "aVL"),
     ("ECG I", "I"), ("ECG lead V2", "V2"), ("C4", "V4"), ("V05", "V5"), ("a.V.R.", "aVR"), ("V 1", "V1"),
     ("V3R", None),
     ("MLII", None), ("-aVR", None), ("V7", None), ("Resp", None), ("", None)],
)  # fmt: skip
def test_only_true_aliases_name_a_lead(text: str, lead: str | None) -> None:
    assert lead_name(text) == lead


def test_padding_around_a_record_is_cut_off(signal: np.ndarray) -> None:
    padded = np.concatenate([np.zeros((12, 150)), signal, np.repeat(signal[:, -1:], 120, axis=1)], axis=1)
    record = checked(padded, LEADS, FS)
    np.testing.assert_array_equal(record.signal, signal[:, : record.signal.shape[1]])
    assert record.signal.shape[1] in (999, 1000)  # whether the last sample is padding nobody can tell
    assert record.repairs[0].endswith("s of padding or calibration around the leads were cut off")
    with pytest.raises(RecordError, match=r"only 2\.00 s are not padding, too short for a page"):
        checked(np.concatenate([signal[:, :200], np.zeros((12, 300))], axis=1), LEADS, FS)


def test_a_calibration_pulse_around_a_record_is_cut_off(signal: np.ndarray) -> None:
    pulse = np.concatenate([np.zeros(10), np.ones(20), np.zeros(10)])
    for order in ([signal, np.tile(pulse, (12, 1))], [np.tile(pulse, (12, 1)), signal]):
        record = checked(np.concatenate(order, axis=1), LEADS, FS)
        np.testing.assert_array_equal(record.signal, signal)
        assert record.repairs == ("0.40 s of padding or calibration around the leads were cut off",)


def test_a_lead_that_stands_still_for_seconds_is_said(signal: np.ndarray) -> None:
    signal[7, 300:650] = signal[7, 300]
    assert checked(signal, LEADS, FS).repairs == (
        "lead V2 does not change for 3.49 s, a loose electrode or padding perhaps",
    )


def test_leads_in_another_order_come_out_in_the_standard_order(signal: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(12)
    record = checked(signal[order], [LEADS[k].upper() for k in order], FS)
    np.testing.assert_array_equal(record.signal, signal)


def test_limb_leads_are_computed_from_one_and_two(signal: np.ndarray) -> None:
    keep = [k for k, lead in enumerate(LEADS) if lead not in ("III", "aVR", "aVL", "aVF")]
    record = checked(signal[keep], [LEADS[k] for k in keep], FS)
    # the recorder computed them as well, to its own step of 1 uV
    np.testing.assert_allclose(record.signal, signal, atol=0.003)
    assert record.repairs == ("computed from leads I and II: III, aVR, aVL, aVF",)


def test_a_missing_chest_lead_is_named_or_drawn_flat(signal: np.ndarray) -> None:
    keep = [k for k in range(12) if k != 8]
    with pytest.raises(RecordError, match="lead V3 is missing and cannot be computed"):
        checked(signal[keep], [LEADS[k] for k in keep], FS)
    record = checked(signal[keep], [LEADS[k] for k in keep], FS, allow_missing=True)
    assert not record.lead("V3").any()
    assert record.repairs == ("missing and drawn flat: V3",)


def test_limb_leads_are_not_guessed_without_lead_one(signal: np.ndarray) -> None:
    with pytest.raises(RecordError, match="lead I, aVR is missing"):
        checked(np.delete(signal, (0, 3), axis=0), [lead for lead in LEADS if lead not in ("I", "aVR")], FS)


def test_an_empty_lead_counts_as_missing(signal: np.ndarray) -> None:
    signal[2] = np.nan
    record = checked(signal, LEADS, FS)
    np.testing.assert_allclose(record.lead("III"), signal[1] - signal[0], atol=1e-6)
    assert record.repairs[0] == "no number in lead III: taken as missing"
    signal[9] = np.nan
    with pytest.raises(RecordError, match="lead V4 is missing"):
        checked(signal, LEADS, FS)


def test_extra_signals_are_dropped_and_said_so(signal: np.ndarray) -> None:
    record = checked(np.vstack([signal[:1] * 1000, signal]), ["Resp", *LEADS], FS)
    np.testing.assert_array_equal(record.signal, signal)
    assert record.repairs == ("not among the twelve leads and dropped: Resp",)


def test_short_gaps_are_interpolated(signal: np.ndarray) -> None:
    expected = signal[6].copy()
    expected[300:320] = np.interp(np.arange(300, 320), [299, 320], expected[[299, 320]])
    expected[:5] = expected[5]
    signal[6, 300:320] = np.nan
    signal[6, :5] = np.nan
    record = checked(signal, LEADS, FS)
    np.testing.assert_allclose(record.lead("V1"), expected, atol=1e-6)
    assert record.repairs == ("lead V1: 2 gap(s) of at most 0.20 s were interpolated",)
    signal[6, 320] = np.nan
    with pytest.raises(RecordError, match=r"lead V1 has no samples for 0.21 s at 3.00 s"):
        checked(signal, LEADS, FS)


def test_flat_leads_are_told_until_they_are_too_many(signal: np.ndarray) -> None:
    signal[[7, 8]] = 0.25
    assert checked(signal, LEADS, FS).repairs == ("flat for the whole record, a loose electrode perhaps: V2, V3",)
    signal[:5] = 0
    with pytest.raises(RecordError, match="7 of 12 leads never change"):
        checked(signal, LEADS, FS)


@pytest.mark.parametrize(
    ("scale", "message"),
    [(1e3, "give unit='uV'"), (1e6, "ADC units"), (1e-3, "if these are volts, give unit='V'")],
)
def test_a_wrong_unit_is_recognized(signal: np.ndarray, scale: float, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        checked(signal * scale, LEADS, FS)


def test_high_rates_are_averaged_down_and_odd_rates_kept(signal: np.ndarray) -> None:
    record = checked(np.repeat(signal, 41, axis=1), LEADS, 4100.0)
    assert record.fs == 820.0
    assert record.seconds == pytest.approx(10.0)
    assert record.repairs == ("4100 Hz was reduced to 820 Hz by averaging 5 samples into one",)
    record = checked(signal, LEADS, 360.5)
    assert (record.fs, record.repairs) == (360.5, ())


@pytest.mark.parametrize(
    ("change", "fs", "message"),
    [
        (lambda s: s[:, :249], FS, "2.49 s at 100 Hz is too short"),
        (lambda s: s[:, :0], FS, "holds no samples"),
        (lambda s: s, 49.9, "49.9 Hz is too low"),
        (lambda s: s, float("nan"), "nan Hz is too low"),
        (lambda s: s[0], FS, r"samples are float32 \[1000\]"),
        (lambda s: s.astype(str), FS, "give numbers as"),
        (lambda s: s[:11], FS, "11 rows of samples but 12 lead names"),
        (lambda s: np.where(np.arange(1000) == 150, np.inf, s), FS, "lead I is infinite at 1.50 s"),
    ],
)
def test_what_cannot_be_mended_is_refused(signal: np.ndarray, change, fs: float, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        checked(change(signal), LEADS, fs, name="rec7")
    assert str(caught.value).startswith("rec7: ")
    assert "\n" not in str(caught.value)


def test_duplicate_and_unknown_names_are_refused(signal: np.ndarray) -> None:
    with pytest.raises(RecordError, match="lead V6 is there twice"):
        checked(signal, [*LEADS[:11], "V6"][:10] + ["V6", "v6"], FS)
    with pytest.raises(RecordError, match="none of A, B is a standard lead"):
        checked(signal[:2], ["A", "B"], FS)


def test_units() -> None:
    assert [millivolts(unit) for unit in ("mV", "uV", "µV", "V", "nV")] == [1.0, 1e-3, 1e-3, 1e3, 1e-6]
    with pytest.raises(RecordError, match="'mmHg' is no voltage"):
        millivolts("mmHg")


# --- WFDB -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_wfdb_by_base_name_header_or_samples(suffix: str) -> None:
    record = read_record(f"{REAL}{suffix}")
    raw = np.fromfile(f"{REAL}.dat", "<i2").reshape(-1, 12).T
    np.testing.assert_allclose(record.signal, raw / 1000, atol=1e-6)
    assert (record.name, record.fs, record.seconds, record.repairs) == ("00010_lr", 100.0, 10.0, ())


def write(folder: Path, signal: np.ndarray, names: list[str], units: list[str], **more) -> Path:
    wfdb.wrsamp(
        "rec", fs=FS, units=units, sig_name=names, p_signal=signal.T.astype(float), fmt=["16"] * len(names),
        write_dir=str(folder), **more,
    )  # fmt: skip
    return folder / "rec"


def test_wfdb_units_extra_signals_and_comments(tmp_path: Path, signal: np.ndarray) -> None:
    mixed = signal.copy()
    mixed[3] *= 1000
    pressure = 80 + 10 * signal[:1]
    path = write(
        tmp_path, np.vstack([pressure, mixed]), ["ABP", *LEADS], ["mmHg", *["mV"] * 3, "uV", *["mV"] * 8],
        comments=["Age: 71", "Sex: Female", "Dx: 164889003"],
    )  # fmt: skip
    record = read_wfdb(path)
    np.testing.assert_allclose(record.signal, signal, atol=1e-3)
    assert (record.age, record.sex) == (71, "female")
    assert record.repairs == ("not among the twelve leads and dropped: ABP",)


def test_wfdb_invalid_samples_are_gaps(tmp_path: Path, signal: np.ndarray) -> None:
    signal[4, 100:110] = np.nan
    record = read_wfdb(write(tmp_path, signal, list(LEADS), ["mV"] * 12))
    assert record.repairs == ("lead aVL: 1 gap(s) of at most 0.10 s were interpolated",)
    assert np.isfinite(record.signal).all()


def copied(folder: Path) -> Path:
    for kind in (".hea", ".dat"):
        shutil.copy(f"{REAL}{kind}", folder)
    return folder / REAL.name


def test_wfdb_damage_shows_in_the_checksum(tmp_path: Path) -> None:
    path = copied(tmp_path)
    data = bytearray(path.with_name("00010_lr.dat").read_bytes())
    data[5000] ^= 1
    path.with_name("00010_lr.dat").write_bytes(data)
    assert read_wfdb(path).repairs == ("the checksums in the header do not fit the samples: the file may be damaged",)


def test_wfdb_without_lead_names_is_not_guessed(tmp_path: Path) -> None:
    path = copied(tmp_path)
    header = path.with_name("00010_lr.hea")
    first, *signals = header.read_text().splitlines()
    # the checksum and the name, and all else after the gain, are optional in the format
    header.write_text("\n".join([first, *(" ".join(line.split()[:3]) for line in signals)]))
    with pytest.raises(RecordError, match=r"none of signal 0, signal 1, .* is a standard lead"):
        read_wfdb(path)


def test_wfdb_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"gone.hea is not there"):
        read_wfdb(tmp_path / "gone")
    path = copied(tmp_path)
    whole = path.with_name("00010_lr.dat").read_bytes()
    path.with_name("00010_lr.dat").write_bytes(whole[:7001])
    with pytest.raises(RecordError, match=r"cannot be read .* again"):
        read_wfdb(path)
    path.with_name("00010_lr.dat").unlink()
    with pytest.raises(RecordError, match=r"names 00010_lr.dat, which is not there"):
        read_wfdb(path)
    path.with_name("00010_lr.hea").write_text("this is no header\n")
    with pytest.raises(RecordError, match="describes no signals"):
        read_wfdb(path)


def rewritten(path: Path, change: Callable[[str], str | bytes], name: str | None = None) -> Path:
    """The record with its header changed, under another name perhaps."""
    header = path.with_name("00010_lr.hea")
    text = change(header.read_text())
    header.write_bytes(text if isinstance(text, bytes) else text.encode())
    if name is None:
        return path
    for suffix in (".hea", ".dat"):
        path.with_name("00010_lr" + suffix).rename(path.with_name(name + suffix))
    return path.with_name(name)


HEADERS: dict[str, Callable[[str], str | bytes]] = {
    "georgia": lambda text: text.replace("00010_lr 12 100 1000", "00010_lr.mat 12 100 1000 05-May-2020 14:50:55", 1),
    "date": lambda text: text.replace("1000\n", "1000 12:30:00 2021-03-26\n", 1),
    "year": lambda text: text.replace("1000\n", "1000 2006\n", 1),
    "mark": lambda text: "\ufeff" + text,
    "exponent": lambda text: text.replace("1000.0(0)/mV", "1.0E+03(0)/mV"),
    "micro in utf-8": lambda text: text.replace("1000.0(0)/mV", "1(0)/\u00b5V"),
    "micro in latin-1": lambda text: text.replace("1000.0(0)/mV", "1(0)/\u00b5V").encode("latin-1"),
    "greek mu": lambda text: text.replace("1000.0(0)/mV", "1(0)/\u03bcV"),
    "word": lambda text: text.replace("/mV", "/millivolts"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_wfdb_headers_as_others_write_them(kind: str, tmp_path: Path, real: Record) -> None:
    record = read_wfdb(rewritten(copied(tmp_path), HEADERS[kind]))
    np.testing.assert_allclose(record.signal, real.signal, atol=1e-6)
    assert (record.fs, record.repairs) == (real.fs, ())


@pytest.mark.parametrize("name", ["name with space", "rec.v2", "Größe", "12 100 rest"])
def test_wfdb_names_of_any_kind(name: str, tmp_path: Path, real: Record) -> None:
    path = rewritten(copied(tmp_path), lambda text: text.replace("00010_lr", name), name)
    np.testing.assert_array_equal(read_wfdb(path).signal, real.signal)
    assert read_record(path.with_name(name + ".hea")).name == name


def test_wfdb_samples_in_a_mat_file(tmp_path: Path, real: Record) -> None:
    path = rewritten(copied(tmp_path), lambda text: text.replace(".dat 16 ", ".mat 16+24 "))
    data = path.with_name("00010_lr.dat").read_bytes()
    path.with_name("00010_lr.mat").write_bytes(bytes(24) + data)
    np.testing.assert_array_equal(read_record(path.with_name("00010_lr.mat")).signal, real.signal)


@pytest.mark.parametrize("gain", ["0", "0/mV", None])
def test_wfdb_without_a_gain_is_not_drawn(gain: str | None, tmp_path: Path) -> None:
    def change(text: str) -> str:
        lines = [line.split() for line in text.splitlines()]
        return "\n".join(
            [" ".join(lines[0]), *(" ".join([*w[:2], *([gain, *w[3:]] if gain else [])]) for w in lines[1:13])]
        )

    with pytest.raises(RecordError, match="says no gain, so nobody knows how many millivolts a step is"):
        read_wfdb(rewritten(copied(tmp_path), change))


def test_wfdb_several_samples_a_frame_keep_their_rate(tmp_path: Path, signal: np.ndarray) -> None:
    breath = np.sin(np.arange(250) / 40)
    wfdb.wrsamp(
        "frames",
        fs=25,
        units=["mV"] * 12 + ["NU"],
        sig_name=[*LEADS, "RESP"],
        e_p_signal=[*signal.astype(float), breath],
        samps_per_frame=[4] * 12 + [1],
        fmt=["16"] * 13,
        write_dir=str(tmp_path),
    )
    record = read_wfdb(tmp_path / "frames")
    np.testing.assert_allclose(record.signal, signal, atol=2e-4)
    assert (record.fs, record.repairs) == (100, ())


def test_wfdb_git_lfs_pointers_and_files_elsewhere_are_named(tmp_path: Path) -> None:
    path = copied(tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    header = path.with_name("00010_lr.hea").read_text()
    for suffix in (".dat", ".hea"):
        path.with_name("00010_lr" + suffix).write_text(pointer)
        with pytest.raises(RecordError, match=f"lr{suffix}: is a Git LFS pointer"):
            read_wfdb(path)
    path.with_name("00010_lr.hea").write_text(header.replace("00010_lr.dat", "../00010_lr.dat"))
    with pytest.raises(RecordError, match="which is no file beside it"):
        read_wfdb(path)


def test_ages_in_angles(tmp_path: Path) -> None:
    record = read_wfdb(rewritten(copied(tmp_path), lambda text: text + "#<age>: 51  <sex>: F  <diagnoses>:\n"))
    assert (record.age, record.sex) == (51, "female")
