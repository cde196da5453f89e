"""`pulse-page`: any record that can be read becomes a picture; one that cannot is one line, in every command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distill.cli
import quantize.cli
from pulse.ecg.page_cli import main
from pulse.ecg.paper.render import render
from pulse.ecg.ptbxl import PtbXl
from tests.edge_runtime.page.sheets import MM, sheet, turned

PTBXL = Path("tests/data/ptbxl")
RECORD = PTBXL / "records100/00000/00010_lr.hea"


@pytest.mark.parametrize("layout", ["3x4", "12x1"])
def test_a_wfdb_record_is_drawn(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.png"
    assert main([str(RECORD), "--layout", layout, "--out", str(out), "--dpi", "50.8", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert (about["width"], about["height"]) == (544, 384)
    np.testing.assert_array_equal(np.asarray(Image.open(out)), render(PtbXl(PTBXL)[10], layout).image)


def test_a_table_is_drawn_and_photographed(tmp_path: Path) -> None:
    np.save(tmp_path / "r.npy", PtbXl(PTBXL)[10].signal)
    argv = [str(tmp_path / "r.npy"), "--fs", "100"]
    for name, more in (("plain", []), ("photo", ["--photo", "1"]), ("other", ["--photo", "2"])):
        assert main([*argv, *more, "--out", str(tmp_path / f"{name}.png")]) == 0
    assert len({(tmp_path / f"{name}.png").read_bytes() for name in ("plain", "photo", "other")}) == 3


@pytest.mark.parametrize(
    ("record", "more", "reason"),
    [
        ("absent.hea", [], "is not there"),
        ("r.xyz", [], "is of no kind known here"),
        ("r.npy", [], "does not say its sampling rate"),
        (str(RECORD.absolute()), ["--fs", "500"], "correct the header instead"),
        (str(RECORD.absolute()), ["--layout", "5x5"], "invalid choice"),
        (str(RECORD.absolute()), ["--out", "page.gif"], "ends in .png"),
        (str(RECORD.absolute()), ["--out", "absent/page.png"], "give another --out"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    record: str,
    more: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.save(tmp_path / "r.npy", np.zeros((12, 1000)))
    (tmp_path / "r.xyz").write_text("?")
    monkeypatch.chdir(tmp_path)
    assert main([record, "--out", "page.png", *more]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A PTB-XL folder whose table is cut short."""
    shutil.copytree(PTBXL, tmp_path / "damaged")
    table = tmp_path / "damaged" / "ptbxl_database.csv"
    table.write_text(table.read_text()[:-200])
    return tmp_path / "damaged"


def test_a_damaged_database_is_one_line_for_quantize_and_distill(
    damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert quantize.cli.main(["pulse-nano", "--method", "gptq", "--calibration", f"ptbxl:{damaged}", *out]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(damaged) in error
    assert distill.cli.main(["--data", str(damaged), *out]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(damaged) in error


def test_a_photograph_becomes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turned(sheet(), -12, 0.5, (2000, 1500)).save(tmp_path / "photo.jpg")
    out = tmp_path / "out"
    assert main([str(tmp_path / "photo.jpg"), "--out", str(out), "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["grid"]["px_per_mm"] == pytest.approx(0.5 * MM, rel=0.01)
    assert about["grid"]["turned_degrees"] == pytest.approx(-12, abs=0.5)
    assert about["goes_on_as_it_is"] is False
    assert {path.name for path in out.iterdir()} == {"found.jpg", "page.png", "seen.png", "reading.json"}
    assert json.loads((out / "reading.json").read_text())["grid"] == about["grid"]
    page = Image.open(out / "page.png")
    assert page.size == (about["grid"]["page"]["width"], about["grid"]["page"]["height"])
    found = np.asarray(Image.open(out / "found.jpg")).astype(int)
    assert ((found[..., 0] > 180) & (found[..., 1] < 60) & (found[..., 2] < 120)).any()  # the outline


def test_a_picture_without_a_grid_goes_on_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "white.png")
    assert main([str(tmp_path / "white.png"), "--out", str(tmp_path / "out")]) == 0
    assert "no grid was found; the picture goes on as it is" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"found.jpg", "seen.png", "reading.json"}


def test_a_family_and_a_layout_of_choice_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = str(RECORD)
    drawn = {}
    for name, options in {"own": [], "wished": ["--layout", "12x1"], "other": ["--seed", "1"]}.items():
        out = tmp_path / f"{name}.png"
        assert main([record, "--family", "sheet", "--out", str(out), "--json", *options]) == 0
        drawn[name] = json.loads(capsys.readouterr().out)["layout"], out.read_bytes()
    assert drawn["own"][0] != drawn["wished"][0] == "12x1"
    assert drawn["own"][1] != drawn["other"][1]


@pytest.mark.parametrize("options", [["--seed", "3"], ["--family", "plain", "--seed", "-1"]])
def test_a_seed_without_a_family_is_refused(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no-record", "--out", str(tmp_path / "x.png"), *options]) == 2
    assert "--seed is of a family's look, 0 or more; give --family" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--family", "plain"], "is a picture, and --family belongs to a record; leave it out"),
        (["--layout", "6x2"], "--layout of a picture is for its signals; give --signals DIR, or leave it out"),
        (["--allow-missing"], "is a picture, and --allow-missing belongs to a record; leave it out"),
        ([], "already exists; remove it or give another --out"),
    ],
)
def test_wrong_use_of_a_photograph(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (300, 200), "white").save(tmp_path / "white.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert main([str(tmp_path / "white.png"), "--out", str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
