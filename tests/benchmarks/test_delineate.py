"""What was learned from is told from what was not, and neurokit2 is scored as ours is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.verbs import _delineate
from pulse.ecg.ludb import Mark, Marked
from tests.heartbeats import Heart, regular

HEART, BEATS, FS = Heart(), regular(72), 500.0


def record(number: int) -> Marked:
    """Two leads of it: neurokit2 takes its time."""
    waves = (("P", -HEART.pr, HEART.p), ("QRS", 0.0, HEART.qrs), ("T", HEART.qt - HEART.t, HEART.t))
    marks = tuple(
        Mark(kind, FS * (at + begin), FS * (at + begin + length / 2), FS * (at + begin + length))
        for at in BEATS[1:-1]
        for kind, begin, length in waves
    )
    return Marked(number, HEART.record(BEATS, FS)[:2], FS, (marks,) * 2, "")


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return _delineate.measure([record(1), record(101)])


def test_seen_and_unseen_records_are_told_apart(rows: list[dict]) -> None:
    ours = [(row["records"], row["unseen"]) for row in rows if row["method"] == "shipped"]
    assert ours == [(1, True), (1, False)]  # the weights were learned from records 1 to 100
    text = _delineate.as_text(rows)
    assert "1 records, ALL OF WHICH IT HAS LEARNED FROM" in text
    assert "1 records, none of which it has learned from" in text


def test_all_methods_find_the_beats_of_a_plain_ecg(rows: list[dict]) -> None:
    assert [row["method"] for row in rows[2:]] == [f"neurokit2 {name}" for name in _delineate.METHODS]
    for row in rows:
        assert row["figures"]["QRS peak"]["sensitivity"] > 0.9, row["method"]
    ours, dwt = rows[0]["figures"], rows[2]["figures"]
    assert abs(ours["QRS onset"]["mean_ms"]) < 15
    assert math.isfinite(dwt["T offset"]["mean_ms"])
    assert rows[5]["figures"]["QRS onset"]["sensitivity"] == 0  # "peak" tells no QRS onset


def test_a_lead_in_which_neurokit2_finds_nothing_is_one_without_waves() -> None:
    flat = np.zeros((2, 5000), np.float32)
    assert _delineate._neurokit(flat, FS, "dwt") == [[], []]


def test_the_command(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("pulse.ecg.ludb.numbers", lambda _: [101, 102])
    monkeypatch.setattr("pulse.ecg.ludb.read", lambda _, number: record(number))
    out = tmp_path / "delineate.json"
    assert main(["delineate", "--data", "LUDB", "--limit", "1", "--out", str(out)]) == 0
    assert "neurokit2 prominence" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert result["records"] == [101]
    assert result["rows"][0]["figures"]["P onset"]["marked"] == 2 * len(BEATS[1:-1])
    assert main(["delineate", "--data", "LUDB", "--folds", "3"]) == 2
    assert "2 to 2" in capsys.readouterr().err


def test_a_folder_without_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["delineate", "--data", str(tmp_path)]) == 2
    assert "LUDB" in capsys.readouterr().err
