"""A stranger's task and a stranger's device are one file each: the examples of the docs, put into their folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.house import ROOT, House

PACKAGES = ("edge_runtime", "pulse", "quantize", "export", "benchmarks")
EXAMPLES = ROOT / "pulse" / "ecg" / "examples"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    added = {"task.py": "benchmarks/tasks/normal.py", "device.py": "benchmarks/devices/nice.py"}
    return House.build(tmp_path_factory.mktemp("house"), PACKAGES, added)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for answer in ("yes", "no"):
        (folder / answer).mkdir()
    for page in sorted(EXAMPLES.glob("*.png"))[:3]:
        shutil.copy(page, folder / ("yes" if "normal" in page.name else "no"))
    return folder


def test_help_names_them_and_the_tasks_own_option(house: House) -> None:
    text = house.prints("benchmarks.cli", "accuracy", "--help")
    told = " ".join(text.split()).replace("- ", "-")  # names are broken at their hyphens where a line ends
    assert "mmmu-ecg, normal, photos, ptb-test" in told
    assert "--question" not in text
    assert "--question TEXT" in house.prints("benchmarks.cli", "accuracy", "--task", "normal", "--help")
    assert "local, nice, simulated, ssh" in " ".join(house.prints("benchmarks.cli", "latency", "--help").split())


def test_a_task_is_asked_compared_and_reported(house: House, bundle: Path, pictures: Path, tmp_path: Path) -> None:
    asked = ["--task", "normal", "--data", pictures, "--workers", "1"]
    result = json.loads(house.prints("benchmarks.cli", "accuracy", bundle, *asked, "--json"))
    assert result["question"] == "Is this a normal ECG?"
    assert sorted(row["gold"] for row in result["answers"]) == [["no"], ["no"], ["yes"]]
    right = sum(row["answers"][0].lower().startswith("yes") == (row["gold"] == ["yes"]) for row in result["answers"])
    assert result["figures"]["accuracy"][0] == pytest.approx(100 * right / 3)
    assert right == 3

    text = house.prints("benchmarks.cli", "retention", bundle, bundle, *asked)
    assert "3 records of 3 pictures" in text
    assert "non-inferior at a margin of 5 points of accuracy" in text

    report = ["--reference", bundle, "--rounds", "1", "--runs", "1", "--out", tmp_path / "report"]
    house.prints("benchmarks.cli", "report", bundle, *asked, *report)
    assert "accuracy kept" in (tmp_path / "report" / "report.html").read_text()


def test_a_task_refuses_in_one_line(house: House, bundle: Path, tmp_path: Path) -> None:
    done = house.run("benchmarks.cli", "accuracy", bundle, "--task", "normal", "--data", tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "holds no pictures in yes/ or no/" in done.stderr


def test_a_device_measures(house: House, bundle: Path) -> None:
    argv = ["latency", bundle, "--device", "nice://5", "--rounds", "1", "--runs", "1", "--json"]
    result = json.loads(house.prints("benchmarks.cli", *argv))
    (row,) = result["rows"]
    assert (row["evidence"], result["about"]["nice"]) == ("measured", 5)
    assert row["figures"]["first_token_ms"]["median"] > 0
    done = house.run("benchmarks.cli", "latency", bundle, "--device", "nice://high")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "give a level from 0 to 19" in done.stderr
