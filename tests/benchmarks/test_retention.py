"""Retention: worked out by hand on made answers, and run on the shipped student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.cli import main
from benchmarks.metrics.paired import compare, verdict
from benchmarks.subjects.features import apart
from benchmarks.task import Answered
from benchmarks.tasks.ptbxl_super import TASK
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.questions import Turn

GOLD = {k: ("MI",) if k % 2 else ("NORM",) for k in range(40)}


def rows(answer: Any, probability: Any = lambda k: 0.5) -> list[Answered]:
    return [
        Answered(
            str(k),
            str(k // 2),
            (Turn("", GOLD[k][0]),),
            (answer(k),),
            probabilities=dict.fromkeys(SUPERCLASSES, probability(k)),
        )
        for k in GOLD
    ]


def right(k: int) -> str:
    return GOLD[k][0]


def test_the_same_answers_are_kept() -> None:
    kept = compare(TASK, rows(right), rows(right))
    f1 = kept["figures"]["f1"]
    assert f1["reference"] == f1["model"] == 40.0  # two of five classes are there, both found
    assert f1["interval"] == [0, 0]
    assert kept["verdict"]["found"] == "non-inferior"
    assert kept["flips"] == []
    assert (kept["same_answers"], kept["records"], kept["probability_shift"]) == (40, 40, 0)
    assert all(c["p"] == 1 for c in kept["classes"].values())


def test_what_changed_is_counted_and_listed() -> None:
    """Six infarctions are missed and one record gains HYP, in different words but for that."""

    def worse(k: int) -> str:
        return "no class" if k in (1, 3, 5, 7, 9, 11) else "NORM, HYP" if k == 0 else f"{right(k)}!"

    kept = compare(TASK, rows(right), rows(worse, lambda k: 0.7))
    assert [int(flip["id"]) for flip in kept["flips"]] == [0, 1, 3, 5, 7, 9, 11]
    assert kept["flips"][0] == {"id": "0", "gold": ["NORM"], "reference": ["NORM"], "model": ["NORM", "HYP"]}
    mi = kept["classes"]["MI"]
    assert (mi["gained"], mi["lost"], mi["better"], mi["worse"]) == (0, 6, 0, 6)
    assert mi["p"] == pytest.approx(2 * binom.cdf(0, 6, 0.5), abs=1e-4)
    assert kept["classes"]["HYP"] == {"gained": 1, "lost": 0, "better": 0, "worse": 1, "p": 1.0}
    assert kept["same_answers"] == 0
    assert kept["probability_shift"] == pytest.approx(0.2)
    f1 = kept["figures"]["f1"]
    assert f1["difference"] == pytest.approx(100 * (1 + 2 * 14 / 34) / 5 - 40, abs=1e-3)
    assert f1["interval"][0] < f1["difference"] < f1["interval"][1] < 0
    assert kept["verdict"]["found"] == "inconclusive"


def test_fewer_records_are_compared_on_those() -> None:
    kept = compare(TASK, rows(right), rows(right)[:10])
    assert kept["records"] == 10
    with pytest.raises(ValueError, match="different rows"):
        compare(TASK, rows(right)[:10], rows(right))


def test_verdict() -> None:
    assert verdict([-1.9, 0.5], 2, "f1")["found"] == "non-inferior"
    assert verdict([-2.1, 0.5], 2, "f1")["found"] == "inconclusive"
    assert verdict([-5.0, -2.1], 2, "f1")["found"] == "inferior"


def test_a_headline_that_holds_is_not_enough() -> None:
    """Answers in other words, one probability moved far, all moved a little, or another tower: F1 stays."""
    moved = {1: 0.61}
    cases = {
        "answers": compare(TASK, rows(right), rows(lambda k: right(k) + "." * (k < 3))),
        "probabilities_largest": compare(TASK, rows(right), rows(right, lambda k: moved.get(k, 0.5))),
        "probabilities_mean": compare(TASK, rows(right), rows(right, lambda k: 0.511)),
        "features": compare(TASK, rows(right), rows(right), features=0.06),
    }
    for name, kept in cases.items():
        assert kept["figures"]["f1"]["difference"] == 0
        assert kept["verdict"]["found"] == "changed"
        assert [gate for gate, each in kept["verdict"]["gates"].items() if each["status"] == "fail"] == [name]
    fine = compare(TASK, rows(right), rows(right, lambda k: 0.509), features=0.04)
    assert fine["verdict"]["found"] == "non-inferior"
    assert {each["status"] for each in fine["verdict"]["gates"].values()} == {"pass"}


def test_towers_of_other_shapes_are_not_compared() -> None:
    one, other = np.ones((4, 2), np.float32), np.ones((4, 3), np.float32)
    assert apart([one], [other]) is None
    assert apart([one, one], [one, 1.1 * one]) == pytest.approx(0.1)


def test_command(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """float32 torch against the bundle, on records that come with the project, photographed."""
    out = tmp_path / "kept.json"
    argv = ["retention", "pulse-nano", str(bundle), "--limit", "4", "--photo", "1"]
    assert main([*argv, "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    (model,) = result["models"]
    assert result["reference"]["subject"]["target"] == "torch"
    assert (result["records"], model["kept"]["same_answers"]) == (4, 4)
    assert model["kept"]["probability_shift"] < 1e-4
    assert {each["status"] for each in model["kept"]["verdict"]["gates"].values()} == {"pass"}
    assert "non-inferior at a margin of 2 points of F1, answers in words" in capsys.readouterr().out
    assert main(["retention", str(bundle), str(tmp_path)]) == 2
    assert "has no manifest.json" in capsys.readouterr().err
