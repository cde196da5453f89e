"""Task photos: pictures of one's own, a table beside them, and what is wrong with it in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.cli import main
from benchmarks.task import Answered
from benchmarks.tasks.photos import TASK
from edge_runtime.errors import UserError
from pulse.instruct.questions import Turn

EXAMPLES = Path(__file__).parents[2] / "demo_app" / "examples"
TABLE = "file,labels\na-atrial-fibrillation.jpg,AFIB; MI\nb-normal.jpg,NORM\nc-infarction.jpg,MI\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a-atrial-fibrillation", "b-normal", "c-infarction"):
        shutil.copy(EXAMPLES / f"{name}.jpg", folder)
    (folder / "labels.csv").write_text(TABLE, encoding="utf-8")
    return folder


def test_each_picture_is_asked_and_timed(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data.parent / "out.json"
    argv = ["accuracy", str(bundle), "--task", "photos", "--data", str(data), "--workers", "1", "--out", str(out)]
    assert main(argv) == 0
    found = json.loads(out.read_text())["figures"]
    assert found["pictures"] == 3
    assert list(found["classes"]) == ["NORM", "MI", "AFIB"]  # in the bundle's order
    assert found["classes"]["MI"]["records"] == 2
    assert found["taken_for_no_ecg"] == []
    assert 0 < found["reading_ms"]["median"] <= found["reading_ms"]["most"]
    assert "ms to read a picture" in capsys.readouterr().out


def _row(name: str, labels: str, answer: str, is_ecg: float, **probabilities: float) -> Answered:
    likely = tuple(label for label, chance in probabilities.items() if chance >= 0.3)
    return Answered(name, name, (Turn("?", labels),), (answer,), None, is_ecg, probabilities, likely, reading_ms=20.0)


def test_score_by_hand() -> None:
    rows = [
        _row("a", "MI;AFIB", "MI", 0.9, NORM=0.1, MI=0.8, AFIB=0.2),
        _row("b", "NORM", "NORM", 0.2, NORM=0.9, MI=0.2, AFIB=0.1),
        _row("c", "AFIB", "NORM", 0.9, NORM=0.6, MI=0.1, AFIB=0.4),
    ]
    marks = TASK.marks(rows)
    assert marks.classes == ("NORM", "MI", "AFIB")
    assert marks.truth.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 1]]
    assert marks.predicted.tolist() == [
        [0, 1, 0],
        [1, 0, 0],
        [1, 0, 1],
    ]  # AFIB: its operating point
    figures = TASK.score(rows, None, rounds=20)  # type: ignore[arg-type]
    assert figures["taken_for_no_ecg"] == ["b"]
    assert figures["reading_ms"] == {"median": 20.0, "most": 20.0}
    assert figures["macro"]["hamming"][0] == pytest.approx(100 * 2 / 9)
    assert "1 pictures were taken for no ECG: b" in TASK.as_text(figures)


def test_a_label_that_the_bundle_does_not_know() -> None:
    with pytest.raises(UserError, match=r"labels.csv: STROKE is no label that the bundle knows; it knows NORM, MI"):
        TASK.marks([_row("a", "MI;STROKE", "MI", 0.9, NORM=0.1, MI=0.8)])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "labels.csv: cannot be read (No such file or directory)"),
        ("picture,labels\na.jpg,MI\n", "has no columns file and labels"),
        ("file,labels\n", "lists no picture"),
        ("file,labels\nmissing.jpg,MI\n", "names missing.jpg, which is not in"),
    ],
)
def test_a_wrong_table_is_one_line(
    table: str | None, message: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if table is not None:
        (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    assert main(["accuracy", str(bundle), "--task", "photos", "--data", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_photographs_are_flattened_or_not_as_asked(bundle: Path, tmp_path: Path) -> None:
    photo = "d-bundle-branch-block-photo.jpg"
    shutil.copy(EXAMPLES / photo, tmp_path)
    (tmp_path / "labels.csv").write_text(f"file,labels\n{photo},CD\n", encoding="utf-8")
    argv = ["accuracy", str(bundle), "--task", "photos", "--data", str(tmp_path), "--workers", "1", "--out"]
    found = []
    for flatten in ("--flatten", "--no-flatten"):
        assert main([*argv, str(tmp_path / "out.json"), flatten]) == 0
        found.append(json.loads((tmp_path / "out.json").read_text()))
    assert [one["flatten"] for one in found] == [True, False]
    assert found[0]["answers"][0]["probabilities"] != found[1]["answers"][0]["probabilities"]
