"""Digital recordings: WFDB files of every format that is read, against the wfdb package, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.ask import main
from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS
from edge_runtime.signal_files import signal_files
from edge_runtime.wfdb_file import read_recording

BITS = {"16": 16, "212": 12, "80": 8, "24": 24, "32": 32, "61": 16}
LINE = "a.dat 16 1000/mV 16 0 0 0 0 I"


def header(folder, record, *lines, samples=20):
    """RECORD.hea of these lines, with a.dat of so many samples of one signal, 0, 1, 2 ..."""
    (folder / "a.dat").write_bytes(np.arange(samples, dtype="<i2").tobytes())
    path = folder / "rec.hea"
    path.write_text("\n".join([record, *lines]) + "\n", encoding="utf-8")
    return path


def refused(path):
    with pytest.raises(UserError) as caught:
        read_recording(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("form", BITS)
@pytest.mark.parametrize("count", [500, 501])
def test_each_format_reads_as_the_wfdb_package_reads_it(form, count, tmp_path):
    wfdb = pytest.importorskip("wfdb")
    low, high = -(1 << (BITS[form] - 1)), (1 << (BITS[form] - 1)) - 1
    steps = np.random.default_rng(7).integers(low, high, (count, 3), endpoint=True)
    steps[:4] = [[low, low, 0], [high, low + 1, -1], [0, 1, low], [-1, high, 1]]
    stored = "16" if form == "61" else form  # the package reads 61, and does not write it
    gains, names, layout = [200.0, 0.25, 1000.5], ["aVF", "v1", "Resp"], {"base_date": None, "base_time": None}
    record = wfdb.Record(
        record_name="rec", n_sig=3, fs=360, sig_len=count, d_signal=steps, file_name=["a.dat"] * 3, fmt=[stored] * 3,
        adc_gain=gains, baseline=[-7, 30, 0], units=["mV", "uV", "mV"], sig_name=names, adc_res=[BITS[form]] * 3,
        adc_zero=[0] * 3, init_value=steps[0].tolist(), block_size=[0] * 3, byte_offset=[None] * 3, skew=[None] * 3,
        samps_per_frame=[1] * 3, comments=["Age: 64"], **layout,
    )  # fmt: skip
    record.checksum = record.calc_checksum()
    record.wrsamp(write_dir=str(tmp_path))
    if form == "61":
        dat, hea = tmp_path / "a.dat", tmp_path / "rec.hea"
        dat.write_bytes(np.frombuffer(dat.read_bytes(), "<i2").astype(">i2").tobytes())
        hea.write_text(hea.read_text(encoding="utf-8").replace("a.dat 16 ", "a.dat 61 "), encoding="utf-8")
    theirs = wfdb.rdrecord(str(tmp_path / "rec")).p_signal
    ours = read_recording(tmp_path / "rec.hea")
    assert ours.fs == 360
    assert np.isnan(ours.mv[0, 0])
    np.testing.assert_allclose(ours.mv[LEADS.index("aVF")], theirs[:, 0], rtol=1e-12, atol=1e-6)
    np.testing.assert_allclose(ours.mv[LEADS.index("V1")], theirs[:, 1] / 1000, rtol=1e-12, atol=1e-6)
    there = [LEADS[row] for row in range(12) if np.isfinite(ours.mv[row]).any()]
    assert there == ["aVF", "V1"]
    assert np.isnan(ours.mv[LEADS.index("aVF"), 0])  # the lowest number is the invalid sample


def test_twelve_leads_that_wrsamp_wrote(tmp_path):
    wfdb = pytest.importorskip("wfdb")
    mv = np.random.default_rng(1).normal(0, 1, (700, 12))
    mv[30:60, 4] = np.nan
    wfdb.wrsamp("rec", 500, ["mV"] * 12, list(LEADS), p_signal=mv, fmt=["16"] * 12, write_dir=str(tmp_path))
    theirs, ours = wfdb.rdrecord(str(tmp_path / "rec")).p_signal, read_recording(tmp_path / "rec.hea")
    np.testing.assert_allclose(ours.mv.T, theirs, atol=1e-6)
    assert np.isnan(ours.mv[4, 30:60]).all()


def test_what_signal_files_writes_reads_the_same(tmp_path):
    mv = np.full((12, 700), np.nan)
    mv[1] = np.sin(np.arange(700) / 20) * 1.5
    mv[7, 100:300] = np.linspace(-30, 30, 200)
    for name, data in signal_files("a page", mv, 499.5).items():
        (tmp_path / name).write_bytes(data)
    found = read_recording(tmp_path / "a_page.hea")
    assert found.fs == 499.5
    np.testing.assert_allclose(found.mv, mv, atol=0.0005 + 1e-9)


def test_signals_of_several_files_with_offsets(tmp_path):
    (tmp_path / "my b.dat").write_bytes(b"#!" * 12 + np.array([[0, 9], [-50, 9], [100, 9]], ">i2").tobytes())
    lines = [LINE, "my b.dat 61+24 2(-50)/\u00b5V 16 0 0 0 0 ECG lead v6", "my b.dat 61+24 2/mmHg 16 0 0 0 0 Pressure"]
    found = read_recording(header(tmp_path, "rec 3 250/250(0) 3 12:00:00 1/2/2020", "# a comment", *lines))
    assert found.mv.shape == (12, 3)
    np.testing.assert_allclose(found.mv[0], [0, 0.001, 0.002])
    np.testing.assert_allclose(found.mv[11], [0.025, 0, 0.075])


def test_what_a_header_leaves_out(tmp_path):
    found = read_recording(header(tmp_path, "rec 1", "a.dat 16 0 12 5 0 0 0 avr"))
    assert (found.fs, found.mv.shape) == (250, (12, 20))
    np.testing.assert_allclose(found.mv[3], (np.arange(20) - 5) / 200)  # gain 0: 200; no baseline: the ADC's zero
    volts = read_recording(header(tmp_path, "rec 1 1e3 0", "a.dat 16x1:0 1.0E+03(-1)/V 16 9 0 0 0 I"))
    assert volts.fs == 1000
    np.testing.assert_allclose(volts.mv[0], np.arange(20) + 1)
    latin = tmp_path / "rec.hea"
    latin.write_bytes("rec 1 500 20\na.dat 16 1/\u00b5V 16 0 0 0 0 I\n".encode("latin-1"))
    assert read_recording(latin).mv[0, 19] == pytest.approx(0.019)


def test_a_file_of_nothing_but_other_signals_is_not_needed(tmp_path):
    found = read_recording(header(tmp_path, "rec 2 500 20", LINE, "lost.dat 16 1/mmHg 16 0 0 0 0 Pressure"))
    assert np.isfinite(found.mv[0]).all()


@pytest.mark.parametrize(
    ("record", "lines", "told"),
    [
        ("rec/2 1 500 20", ["rec_1 10", "rec_2 10"], "is a record of several segments; give the header of one of them"),
        ("rec 1 500 20", [LINE.replace(" 16 1000", " 16x4 1000")], "a.dat has 4 samples a frame, and 1 is read here"),
        ("rec 1 500 20", [LINE.replace(" 16 1000", " 16:3 1000")], "a.dat has signals that lie apart in time (skew 3)"),
        ("rec 1 500 20", [LINE.replace(" 16 1000", " 310 1000")], "a.dat has samples of format 310, not 16, 212, 80,"),
        ("rec 1 500 20", [LINE.replace("a.dat", "b.dat")], "names b.dat, which is not there; copy the .hea and its"),
        ("rec 1 500 21", [LINE], "a.dat holds 20 of 21 samples a signal; copy it again, whole"),
        ("rec 1 500 999999999999", [LINE], "a.dat holds 20 of 999999999999 samples"),
        ("rec 1 500", [LINE.replace(" 16 1000", " 16+40 1000")], "a.dat holds 0 of 1 samples a signal"),
        ("rec 1 500 20", [], "does not describe as many signals as it says; give the whole header"),
        ("rec 2 500 20", [LINE], "does not describe as many signals as it says; give the whole header"),
        ("rec 0 500 20", [], "holds no ECG lead; name its signals I, II, III,"),
        ("# nothing", [], "is empty; give a WFDB header, RECORD.hea"),
        ("rec 1 fast 20", [LINE], "'rec 1 fast 20' says no rate and count of samples; export"),
        ("rec 1 500 -20", [LINE], "'rec 1 500 -20' says no rate and count of samples; export"),
        ("rec 1 0 20", [LINE], "samples a second must be above 0, not 0.0"),
        ("rec 1 500 20", [LINE.replace(" I", " MLII")], "holds no ECG lead; name its signals I, II, III,"),
        ("rec 1 500 20", ["a.dat 16"], "holds no ECG lead; name its signals I, II, III,"),
        ("rec 2 500 10", [LINE, LINE.replace(" I", " i")], "holds lead I twice; keep one, and name the other"),
        ("rec 1 500 20", ["a.dat sixteen"], "the line 'a.dat sixteen' describes no signal; export"),
        ("rec 1 500 20", [LINE.replace(" 16 0 0", " 16 ? 0")], "the line 'a.dat 16 1000/mV 16 ? 0 0 0 I' describes no"),
        ("rec 1 500 20", [LINE.replace("/mV", "/mmHg")], "lead I is in 'mmHg', no voltage; write its gain as steps"),
        ("rec 1 500 20", [f"../{LINE}"], "names '../a.dat', which is no file beside it; copy it there"),
        ("rec 1 500 20", [f"/tmp/{LINE}"], "names '/tmp/a.dat', which is no file beside it; copy it there"),
        ("rec 1 500 20", [f"..\\{LINE}"], "names '..\\\\a.dat', which is no file beside it; copy it there"),
        ("rec 2 500 9", [LINE, "a.dat 16+2 1/mV 16 0 0 0 0 V1"], "gives a.dat more than one format or offset; export"),
    ],
)  # fmt: skip
def test_what_is_refused(record, lines, told, tmp_path):
    assert refused(header(tmp_path, record, *lines)).startswith(told)


def test_a_header_that_is_not_there_or_no_header(tmp_path, monkeypatch):
    assert refused(tmp_path / "no.hea").startswith("is not there; copy the .hea")
    path = header(tmp_path, "rec 1 500 20", LINE)
    (tmp_path / "a.dat").write_bytes(b"\x00\x80" * 20)
    assert refused(path) == "the recording holds no sample; export it again"
    monkeypatch.setattr("edge_runtime.wfdb_file._MOST_BYTES", 39)
    assert refused(path).startswith("names a.dat, which is larger than 0 MB; cut out the part")


@pytest.mark.parametrize("name", ["rec.hea", "REC.HEA"])
def test_the_command_refuses_in_one_line(name, tiny, tmp_path, capsys):
    path = header(tmp_path, "rec/2 1 500 20", "rec_1 10").rename(tmp_path / name)
    assert main([str(tiny.folder), str(path)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"pulse-ask: {path}: is a record of several segments; ")


def test_the_command_refuses_to_flatten_a_recording(tiny, tmp_path, capsys):
    path = header(tmp_path, "rec 1 500 20", LINE)
    assert main([str(tiny.folder), str(path), "--flatten"]) == 2
    err = capsys.readouterr().err
    assert err == (
        "pulse-ask: --flatten is for photographs of a page, and a .hea is a digital recording; leave it out\n"
    )


def test_an_answer_about_a_recording_and_its_report(tiny, tmp_path, capsys):
    pydicom = pytest.importorskip("pydicom")
    mv = np.tile(np.exp(-(((np.arange(5000) % 400 - 200) / 8) ** 2)), (12, 1))
    for name, data in signal_files("rec", mv, 500.0).items():
        (tmp_path / name).write_bytes(data)
    path, out = tmp_path / "rec.hea", tmp_path / "a.dcm"
    # A comment may look like the head of a file with pages.
    path.write_text(path.read_text(encoding="utf-8") + "# %PDF-1.4\n", encoding="utf-8")
    assert main([str(tiny.folder), str(path), "normal?", "--threads", "1", "--report", str(out)]) == 0
    assert capsys.readouterr().out
    written = pydicom.dcmread(out)
    assert (written.PatientID, written.StudyDate) == ("", "")  # as of a picture that says neither
    assert "SourceInstanceSequence" not in written
