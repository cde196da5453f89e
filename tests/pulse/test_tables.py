"""Tables of text and numpy's files: what others write is read, what could mean two things is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pulse.ecg.formats._cells import scale
from pulse.ecg.formats.table import read_table
from pulse.ecg.formats.wfdb import read_wfdb
from pulse.ecg.read import read_record
from pulse.ecg.record import LEADS, RecordError

REAL = Path(__file__).parents[1] / "data" / "ptbxl" / "records100" / "00000" / "00010_lr"


@pytest.fixture
def signal() -> np.ndarray:
    """Twelve leads at 100 Hz."""
    return read_wfdb(REAL).signal


def csv_text(signal: np.ndarray, header: list[str], mark: str = ",", first: np.ndarray | None = None) -> str:
    columns = signal if first is None else np.vstack([first, signal])
    lines = [mark.join(f"{value:.6g}" for value in row) for row in columns.T]
    return "\n".join([mark.join(header), *lines]) if header else "\n".join(lines)


def test_csv_with_a_time_column(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(signal, ["Time", *LEADS], first=np.arange(1000) / 100))
    record = read_record(path)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)
    assert (record.fs, record.name, record.repairs) == (100.0, "a", ())
    assert read_record(path, fs=100.4).fs == 100.4
    with pytest.raises(RecordError, match="its time column says 100 Hz"):
        read_record(path, fs=500)


def test_csv_times_rounded_to_the_millisecond(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(signal, ["time_ms", *LEADS], first=np.floor(np.arange(1000) * 1000 / 360)))
    assert read_table(path).fs == 360.0
    uneven = np.arange(1000) * 10.0
    uneven[500:] += 40
    path.write_text(csv_text(signal, ["time_ms", *LEADS], first=uneven))
    with pytest.raises(RecordError, match="time column is not even"):
        read_table(path)


def test_csv_from_a_german_spreadsheet_in_microvolts(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(signal * 1000, list(LEADS), ";").replace(".", ","), encoding="utf-8-sig")
    record = read_record(path, fs=100, unit="uV")
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)


def test_csv_without_a_header_needs_leads(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(csv_text(signal, [], "\t"))
    with pytest.raises(RecordError, match="no line names the leads"):
        read_table(path, fs=100)
    np.testing.assert_allclose(read_table(path, fs=100, leads=LEADS).signal, signal, atol=1e-5)
    path.write_text(csv_text(signal, [f"ch{k}" for k in range(12)], "\t"))
    record = read_table(path, fs=100, leads=LEADS)
    assert record.signal.shape == (12, 1000)
    with pytest.raises(RecordError, match="12 columns of samples but 11 leads"):
        read_table(path, fs=100, leads=LEADS[:11])


def test_csv_empty_cells_are_gaps_and_bad_cells_are_placed(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    lines = csv_text(signal, list(LEADS)).splitlines()
    lines[50] = "," + lines[50].split(",", 1)[1]
    path.write_text("\n".join(lines))
    assert read_table(path, fs=100).repairs == ("lead I: 1 gap(s) of at most 0.01 s were interpolated",)
    path.write_text("\n".join([*lines[:60], "x" + lines[60], *lines[61:]]))
    with pytest.raises(RecordError, match="line 61: could not convert"):
        read_table(path, fs=100)
    path.write_text("\n".join([*lines[:60], lines[60] + ",1", *lines[61:]]))
    with pytest.raises(RecordError, match="line 61: 13 cells where the line of names has 12"):
        read_table(path, fs=100)


def test_csv_faults(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(signal, list(LEADS)))
    with pytest.raises(RecordError, match="does not say its sampling rate; give fs"):
        read_table(path)
    path.write_text(",".join(LEADS))
    with pytest.raises(RecordError, match="holds no samples"):
        read_table(path, fs=100)
    path.write_text("\n\n")
    with pytest.raises(RecordError, match="is empty"):
        read_table(path, fs=100)
    path.write_bytes(b"\xff\xfe\x00I\x00")
    with pytest.raises(RecordError, match="is no text; save it as CSV UTF-8"):
        read_table(path, fs=100)
    lines = csv_text(signal, list(LEADS)).splitlines()
    path.write_text("\n".join([*lines[:9], '"0,073",' + lines[9].split(",", 1)[1], *lines[10:]]))
    with pytest.raises(RecordError, match="line 10: '0,073' may be thousands or a fraction"):
        read_table(path, fs=100)


TIMES = np.arange(1000) / 100
TABLES: dict[str, Callable[[str], str | bytes]] = {
    "UTF-16 with tabs": lambda text: text.replace(",", "\t").encode("utf-16"),
    "spaces": lambda text: text.replace(",", "   "),
    "semicolons and decimal commas": lambda text: text.replace(",", ";").replace(".", ","),
    "quoted": lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()),
    "units in a line": lambda text: text.replace("\n", "\n" + ",".join(["s", *["mV"] * 12]) + "\n", 1),
    "units in the names": lambda text: text.replace("V6\n", "V6 (mV)\n", 1).replace("time", "time [s]", 1),
    "PhysioBank": lambda text: "'Elapsed time'" + text.replace("\n", "\n'hh:mm:ss.mmm'" + ",'mV'" * 12 + "\n", 1)[4:],
    "a trailing comma": lambda text: text.replace("\n", ",\n") + ",",
    "lines above": lambda text: "Patient,ANON\nUnit,mV\n\n" + text,
    "a line of units in brackets": lambda text: text.replace("\n", "\n[s]" + ",(mV)" * 12 + "\n", 1),
    "a line of units above": lambda text: "s" + ",mV" * 12 + "\n" + text,
    "names behind a comment's mark": lambda text: "# made elsewhere\n# " + text,
    "a title that looks like a lead": lambda text: "Patient,I\n" + text,
    "pipes": lambda text: text.replace(",", "|"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "an old end of file": lambda text: text + "\n\x1a",
    "the minus of typesetting": lambda text: text.replace("-", "\u2212"),
    "quoted decimal commas": lambda text: "\n".join(
        ",".join(f'"{cell.replace(".", ",")}"' for cell in line.split(",")) for line in text.splitlines()
    ),
    "leads in rows": lambda text: "\n".join(
        map(",".join, zip(*(line.split(",") for line in text.splitlines()), strict=True))
    ),
    "a column of numbers": lambda text: "\n".join(
        f"{k - 1 if k else ''},{line}" for k, line in enumerate(text.splitlines())
    ),
}


@pytest.mark.parametrize("kind", TABLES)
def test_csv_as_others_write_it(kind: str, tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    text = TABLES[kind](csv_text(signal, ["time", *LEADS], first=TIMES))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    record = read_table(path)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)
    assert (record.fs, record.repairs) == (100, ())


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_csv_units_are_each_columns_own(encoding: str, tmp_path: Path, signal: np.ndarray) -> None:
    header = ["t", *(f"{lead} [\u00b5V]" for lead in LEADS[:11]), "V6 (mV)"]
    path, scale = tmp_path / "a.csv", np.array([1000.0] * 11 + [1.0])[:, None]
    path.write_text(csv_text(signal * scale, header, first=TIMES), encoding=encoding)
    np.testing.assert_allclose(read_table(path).signal, signal, atol=1e-5)
    with pytest.raises(RecordError, match="lead I is in µV by its own words, not in mV"):
        read_table(path, unit="mV")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("time_us", lambda t: f"{t * 1e6:.0f}"),
        ("time (ms)", lambda t: f"{t * 1e3:.0f}"),
        ("timeMs", lambda t: f"{t * 1e3:.0f}"),
        ("Time (milliseconds)", lambda t: f"{t * 1e3:.0f}"),
        ("Temps (min)", lambda t: f"{t / 60:.9f}"),
        ("Zeit", lambda t: f"01.02.2024 10:00:{t:06.3f}"),
        ("time", lambda t: f"02/01/2024 10:00:{t:06.3f} PM"),
        ("time", lambda t: f"[{23 * (t < 5)}:{59 * (t < 5)}:{(t + 55) % 60:06.3f} 01/02/2024]"),
        ("Zeit", lambda t: f"0:{t:06.3f}"),
        ("timestamp", lambda t: f"2024-01-01T00:00:{t:06.3f}"),
    ],
)
def test_csv_times_of_any_kind(name: str, form: Callable[[float], str], tmp_path: Path, signal: np.ndarray) -> None:
    lines = csv_text(signal, list(LEADS)).splitlines()
    times = [name, *map(form, TIMES)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(f"{time},{line}" for time, line in zip(times, lines, strict=True)))
    assert read_table(path).fs == 100


def test_csv_words_for_lost_samples_and_a_rate_above(tmp_path: Path, signal: np.ndarray) -> None:
    lines = csv_text(signal, list(LEADS)).splitlines()
    lines[50], lines[51] = "NA," + lines[50].split(",", 1)[1], "null," + lines[51].split(",", 1)[1]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["Sample Rate,100", *lines]))
    record = read_table(path)
    assert (record.fs, record.repairs) == (100, ("lead I: 1 gap(s) of at most 0.02 s were interpolated",))


def test_a_watchs_single_lead_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('Name,X\nDevice,"Watch5,4"\nSample Rate,512 hertz\nLead,Lead I\n\n-73.4\n-28.5\n')
    with pytest.raises(RecordError, match="is a watch's export of a single lead; give a record of the twelve leads"):
        read_record(path)


@pytest.mark.parametrize("arrays", [1, 2])
def test_npz(arrays: int, tmp_path: Path, signal: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", *[signal[None]] * arrays)
    if arrays == 1:
        np.testing.assert_array_equal(read_record(tmp_path / "a.npz", fs=100).signal, signal)
    else:
        with pytest.raises(RecordError, match="holds 2 arrays; save the samples alone"):
            read_record(tmp_path / "a.npz", fs=100)


@pytest.mark.parametrize("turned", [False, True])
def test_npy_either_way_round(tmp_path: Path, signal: np.ndarray, turned: bool) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.round(signal * 1000).astype(np.int16).T if turned else np.round(signal * 1000).astype(np.int16))
    np.testing.assert_allclose(read_record(path, fs=100, unit="uV").signal, signal, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 12), (11, 1000), (1000,), (2, 12, 1000)])
def test_npy_of_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(shape))
    with pytest.raises(RecordError, match=r"save numbers as \[12, n\] or \[n, 12\]"):
        read_table(path, fs=100)


def test_npy_with_its_own_leads(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.npy"
    np.save(path, signal[[0, 1, 6, 7, 8, 9, 10, 11]])
    record = read_table(path, fs=100, leads=["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"])
    np.testing.assert_allclose(record.signal, signal, atol=0.003)


def test_npy_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RecordError, match="is no array of numbers"):
        read_table(path, fs=100)
    path.write_bytes(b"")
    with pytest.raises(RecordError, match="is no array of numbers"):
        read_table(path, fs=100)


def test_unknown_kinds_and_contradictions(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("1")
    with pytest.raises(RecordError, match="is of no kind known here"):
        read_record(tmp_path / "a.xyz")
    with pytest.raises(RecordError, match="is not there"):
        read_record(tmp_path / "b.csv")
    with pytest.raises(RecordError, match="is not there"):
        read_record(tmp_path / "b.xyz")
    with pytest.raises(RecordError, match=r"no .csv, .tsv, .txt, .npy or .npz file"):
        read_table(tmp_path / "a.xyz", fs=100)
    with pytest.raises(RecordError, match="correct the header instead"):
        read_record(REAL, fs=500)


@pytest.mark.parametrize(
    "unit", ["_uV", "/uV", " in uV", " uV", " {uV}", " [10 uV]", " (0.001 mV)", " (\u00c2\u00b5V)"]
)
def test_csv_units_behind_names(unit: str, tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    counts = signal * (100 if "10" in unit else 1000)
    path.write_text(csv_text(counts, ["time", *(lead + unit for lead in LEADS)], first=TIMES), encoding="utf-8")
    np.testing.assert_allclose(read_table(path).signal, signal, atol=1e-5)


def test_csv_units_that_are_none_are_refused(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(csv_text(signal * 20, ["time", *(f"{lead} (adc)" for lead in LEADS)], first=TIMES))
    with pytest.raises(RecordError, match=r"lead I says \(adc\), which is no unit known here; give unit='mV' or 'uV'"):
        read_table(path)
    path.write_text("Gain: 20\n" + csv_text(signal * 20, ["time", *LEADS], first=TIMES))
    with pytest.raises(RecordError, match=r"line 1: says a gain \(Gain: 20\); write millivolts, without it"):
        read_table(path)


@pytest.mark.parametrize(
    "line", ["Sampling rate: 100 Hz", "# fs=100", "Sampling Frequency (Hz),100", "SampleRate;0.1 kHz"]
)
def test_csv_rates_and_units_above(line: str, tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{line}\n# Units: uV\n" + csv_text(signal * 1000, list(LEADS)))
    record = read_table(path)
    np.testing.assert_allclose(record.signal, signal, atol=1e-5)
    assert record.fs == 100


def test_csv_leads_in_rows_with_their_unit(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    rows = zip(LEADS, signal * 1000, strict=True)
    path.write_text("\n".join(f"{lead},uV," + ",".join(f"{value:.6g}" for value in row) for lead, row in rows))
    np.testing.assert_allclose(read_table(path, fs=100).signal, signal, atol=1e-5)


@pytest.mark.parametrize("lost", ["-32768", "-9999", "#N/A", "?", "-nan(ind)"])
def test_csv_numbers_and_words_for_lost_samples(lost: str, tmp_path: Path, signal: np.ndarray) -> None:
    lines = csv_text(signal * 1000, ["time", *(f"{lead} (uV)" for lead in LEADS)], first=TIMES).splitlines()
    cells = lines[50].split(",")
    lines[50] = ",".join([cells[0], lost, *cells[2:]])
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines))
    record = read_table(path)
    assert record.repairs == ("lead I: 1 gap(s) of at most 0.01 s were interpolated",)
    assert np.abs(record.signal - signal).max() < 0.2


def test_points_that_may_part_thousands_are_refused(tmp_path: Path, signal: np.ndarray) -> None:
    path = tmp_path / "a.csv"
    lines = [";".join(f"{value:,.0f}".replace(",", ".") for value in row) for row in (signal * 2000).T]
    path.write_text("\n".join([";".join(f"{lead} (uV)" for lead in LEADS), *lines]))
    with pytest.raises(RecordError, match=r"\d\.\d{3} may be thousands or a fraction; write thousands without a point"):
        read_table(path, fs=100)


@pytest.mark.parametrize(
    ("raw", "what"), [(b"PK\x03\x04", "an Excel or zip file"), (b'{"I": [1]}', "JSON"), (b"<html>", "HTML or XML")]
)
def test_files_of_other_programs_are_named(raw: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(raw)
    with pytest.raises(RecordError, match=f"is {what}, not a table of text; save it as CSV UTF-8"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("cell", ["0\x1f", "0 mV", "10", "1,5 steps"])
def test_cells_that_are_no_unit(cell: str) -> None:
    assert scale(cell) is None
