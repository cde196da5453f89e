"""The PTB-XL folder: five of its records, its tables, and the official superclasses."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, scp_statements, superclasses
from pulse.ecg.record import RecordError

PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"


@pytest.fixture(scope="module")
def ptb() -> PtbXl:
    return PtbXl(PTBXL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PTBXL, tmp_path / "ptbxl"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_record_with_its_labels(ptb: PtbXl) -> None:
    record = ptb[281]
    assert record.signal.shape == (12, 1000)
    assert (record.fs, record.age, record.sex, record.fold) == (100.0, 81, "female", 9)
    assert record.scp_codes == {"ASMI": 100.0, "ALMI": 100.0, "IMI": 100.0, "LAFB": 100.0}
    assert record.report == "trace only requested."
    assert record.patient_id == 641
    assert record.repairs == ()
    assert ptb[722].heart_axis == "LAD"


def test_ages_of_ninety_and_more_are_hidden_as_300(ptb: PtbXl) -> None:
    assert ptb[1502].age == 90


def test_empty_cells_are_unknown(folder: Path) -> None:
    edit(folder / "ptbxl_database.csv", ",81.0,1,", ",,,")
    record = PtbXl(folder)[281]
    assert (record.age, record.sex) == (None, "")


def test_iterating_and_folds(ptb: PtbXl) -> None:
    assert len(ptb) == 5
    assert ptb.ids() == ptb.ids([9]) == [10, 281, 722, 796, 1502]
    assert ptb.ids(range(1, 9)) == []
    assert [record.name for record in ptb.records([9])] == [record.name for record in ptb]
    assert 281 in ptb
    assert 282 not in ptb
    with pytest.raises(RecordError, match=r"folds \[0, 9\] are not all from 1 to 10"):
        ptb.ids([0, 9])
    with pytest.raises(RecordError, match="has no ECG 282"):
        ptb[282]


def test_the_table_in_the_package_is_that_of_ptbxl() -> None:
    statements = scp_statements()
    assert len(statements) == 71
    with (PTBXL / "scp_statements.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[""] for row in rows] == list(statements)
    for row in rows:
        ours = statements[row[""]]
        assert ours.description == row["description"]
        assert ours.diagnostic_class == row["diagnostic_class"]
        assert ours.diagnostic_subclass == row["diagnostic_subclass"]
        assert [ours.diagnostic, ours.form, ours.rhythm] == [row[k] == "1.0" for k in ("diagnostic", "form", "rhythm")]
    counts = Counter(s.diagnostic_class for s in statements.values() if s.diagnostic)
    assert counts == {"NORM": 1, "MI": 14, "STTC": 13, "CD": 11, "HYP": 5}
    assert set(counts) == set(SUPERCLASSES)


def test_superclasses_follow_the_official_aggregation() -> None:
    # every diagnostic statement counts, with likelihood 0 too; form and rhythm statements do not
    assert superclasses({"NORM": 100.0, "SR": 0.0}) == {"NORM"}
    assert superclasses({"IMI": 0.0, "ABQRS": 100.0}) == {"MI"}
    assert superclasses({"IMI": 15.0, "LVH": 100.0, "NDT": 50.0}) == {"MI", "HYP", "STTC"}
    assert superclasses({"IMI": 15.0, "LVH": 100.0, "NDT": 50.0}, min_likelihood=50) == {"HYP", "STTC"}
    assert superclasses({"AFIB": 100.0}) == set()
    with pytest.raises(RecordError, match="'STEMI' is none of PTB-XL's 71"):
        superclasses({"STEMI": 100.0})


def test_12sl_statements(ptb: PtbXl, folder: Path) -> None:
    assert "LBBB" in ptb.sl12(796)
    assert ptb.sl12_texts["LBBB"] == "Left bundle branch block"
    (folder / "12sl_statements.csv").unlink()
    (folder / "12slv23ToSNOMED.csv").unlink()
    bare = PtbXl(folder)  # the tables are optional until they are asked for
    with pytest.raises(RecordError, match=r"12sl_statements.csv is not there; it is part of PTB-XL\+"):
        bare.sl12(10)
    with pytest.raises(RecordError, match=r"12slv23ToSNOMED.csv is not there"):
        _ = bare.sl12_texts


def test_12sl_without_the_ecg(folder: Path) -> None:
    lines = (folder / "12sl_statements.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "12sl_statements.csv").write_text("".join(line for line in lines if not line.startswith("10,")))
    with pytest.raises(RecordError, match="says nothing about ECG 10"):
        PtbXl(folder).sl12(10)


@pytest.mark.parametrize("name", ["ptbxl_database.csv", "scp_statements.csv"])
def test_a_missing_table_names_the_download(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RecordError, match=rf"{name}.*download PTB-XL 1\.0\.3 from https://physionet\.org"):
        PtbXl(folder)


def test_a_missing_record_and_a_missing_rate(ptb: PtbXl, folder: Path) -> None:
    (folder / "records100" / "00000" / "00010_lr.dat").unlink()
    with pytest.raises(RecordError, match=r"names 00010_lr.dat, which is not there"):
        PtbXl(folder)[10]
    with pytest.raises(RecordError, match=r"00010_hr.hea is not there"):
        PtbXl(PTBXL, 500)[10]
    with pytest.raises(RecordError, match="no records at 250 Hz; give 100 or 500"):
        PtbXl(PTBXL, 250)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{'NORM': 100.0, 'SR': 0.0}", "{'NORM': 100.0, 'SR", "ECG 10: scp_codes is .* damaged"),
        ("{'NORM': 100.0, 'SR': 0.0}", "__import__('os')", "ECG 10: scp_codes is .* damaged"),
        (",22.0,1,", ",young,1,", "ECG 10: age is 'young', which is damaged"),
        (",22.0,1,", ",22.0,7,", "ECG 10: sex is '7', which is damaged"),
    ],
)
def test_a_damaged_row_is_named(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder / "ptbxl_database.csv", old, new)
    ptb = PtbXl(folder)
    assert ptb[281].age == 81
    with pytest.raises(RecordError, match=message):
        ptb[10]


def test_a_damaged_table_is_named(folder: Path) -> None:
    table = folder / "ptbxl_database.csv"
    whole = table.read_text(encoding="utf-8")
    table.write_text(whole.replace("scp_codes", "codes"), encoding="utf-8")
    with pytest.raises(RecordError, match="has no column scp_codes"):
        PtbXl(folder)
    table.write_text(whole + "99,1.0,50.0", encoding="utf-8")
    with pytest.raises(RecordError, match="line 7 is cut short"):
        PtbXl(folder)
    table.write_text(whole.replace("\n281,", "\nx281,"), encoding="utf-8")
    with pytest.raises(RecordError, match="'x281' is no ecg_id"):
        PtbXl(folder)
