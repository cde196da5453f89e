"""A stranger's teacher and a stranger's student are one file each: the examples of the docs, put into their folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.distill.conftest import with_dataset
from tests.house import ROOT, House

PACKAGES = ("edge_runtime", "pulse", "quantize", "distill", "export")
PAGE = ROOT / "demo_app" / "examples" / "b-normal.jpg"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    added = {"teacher.py": "distill/teachers/age.py", "student.py": "distill/students/pico.py"}
    return House.build(tmp_path_factory.mktemp("house"), PACKAGES, added)


def test_the_help_names_them_and_the_teachers_own_option(house: House) -> None:
    text = house.prints("distill.cli", "--help")
    assert "{nano,pico,small}" in text
    assert "age, augmented, checkpoint, periods, signal, wav2vec, waves-as-words" in " ".join(text.split())
    assert "--age-years" not in text
    assert "--age-years" in house.prints("distill.cli", "--teacher", "labels", "--teacher", "age", "--help")


@pytest.mark.usefixtures("dataset")
def test_the_one_teaches_the_other_which_answers_on_a_device(house: House, data: Path, tmp_path: Path) -> None:
    run, bundle = with_dataset(data, tmp_path / "run"), tmp_path / "bundle"
    argv = ["--data", data, "--out", run, "--student", "pico", "--teacher", "age", "--age-years", "30"]
    printed = house.prints("distill.cli", *argv, "--tower-epochs", "1", "--workers", "0")
    assert f"pulse-export {run / 'pulse-pico'}" in printed
    settings = json.loads((run / "recipe.json").read_text())
    assert [(one["name"], one["years"]) for one in settings["teachers"]] == [("age", 30)]
    with (run / "teachers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["teacher"] == "age"
    assert 0 <= float(row["auc"]) <= 1
    card = " ".join((run / "pulse-pico" / "README.md").read_text().split())
    assert "Teachers' probabilities are 65 % of every target: `age`" in card
    house.prints("export.cli", run / "pulse-pico", "--target", "onnx", "--out", bundle)
    assert json.loads((bundle / "certificate.json").read_text())["status"] == "pass"
    answer = json.loads(house.prints("edge_runtime.ask", bundle, PAGE, "Is this a normal ECG?", "--json"))
    assert answer["model"] == "pulse-pico"
    assert answer["text"]
    assert 0 < answer["is_ecg"] < 1
