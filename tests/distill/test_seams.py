"""A stranger's teacher and a stranger's student are one file each: the examples of the docs, put into their folders."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.distill.conftest import with_dataset

ROOT = Path(__file__).parents[2]
PACKAGES = ("edge_runtime", "pulse", "quantize", "distill", "export")
PAGE = ROOT / "demo_app" / "examples" / "b-normal.jpg"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with one file more in two of their folders."""
    folder = tmp_path_factory.mktemp("house")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "docs" / "examples" / "teacher.py", folder / "distill" / "teachers" / "age.py")
    shutil.copy(ROOT / "docs" / "examples" / "student.py", folder / "distill" / "students" / "pico.py")
    return folder


def command(house: Path, module: str, *argv: object) -> str:
    """What a command of the copy prints; it must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(house)}
    call = [sys.executable, "-m", module, *map(str, argv)]
    done = subprocess.run(call, cwd=house, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_help_names_them_and_the_teachers_own_option(house: Path) -> None:
    text = command(house, "distill.cli", "--help")
    assert "{nano,pico,small}" in text
    assert "age, checkpoint, signal" in " ".join(text.split())
    assert "--age-years" not in text
    assert "--age-years" in command(house, "distill.cli", "--teacher", "labels", "--teacher", "age", "--help")


@pytest.mark.usefixtures("dataset")
def test_the_one_teaches_the_other_which_answers_on_a_device(house: Path, data: Path, tmp_path: Path) -> None:
    run, bundle = with_dataset(data, tmp_path / "run"), tmp_path / "bundle"
    argv = ["--data", data, "--out", run, "--student", "pico", "--teacher", "age", "--age-years", "30"]
    printed = command(house, "distill.cli", *argv, "--tower-epochs", "1", "--workers", "0")
    assert f"pulse-export {run / 'pulse-pico'}" in printed
    settings = json.loads((run / "recipe.json").read_text())
    assert [(one["name"], one["years"]) for one in settings["teachers"]] == [("age", 30)]
    with (run / "teachers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["teacher"] == "age"
    assert 0 <= float(row["auc"]) <= 1
    card = " ".join((run / "pulse-pico" / "README.md").read_text().split())
    assert "Teachers' probabilities are 65 % of every target: `age`" in card
    command(house, "export.cli", run / "pulse-pico", "--target", "onnx", "--out", bundle)
    assert json.loads((bundle / "certificate.json").read_text())["status"] == "pass"
    answer = json.loads(command(house, "edge_runtime.ask", bundle, PAGE, "Is this a normal ECG?", "--json"))
    assert answer["model"] == "pulse-pico"
    assert answer["text"]
    assert 0 < answer["is_ecg"] < 1
