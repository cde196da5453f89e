"""The benchmarks measure what they say: real runs on a small bundle, and the scoring on cases worked out by hand."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.task import Answered
from benchmarks.tasks import ptbxl_super
from benchmarks.verbs import _pages as pages
from benchmarks.verbs._output import write_json
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.instruct.questions import Turn
from quantize.dequantize import dequantize_checkpoint

PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"
PAGE = Path(__file__).parents[2] / "pulse" / "ecg" / "examples" / "b-normal.png"


def test_accuracy_asks_every_labelled_record_of_the_fold(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "accuracy.json"
    argv = ["accuracy", str(bundle), "--task", "ptbxl-super", "--data", str(PTBXL), "--fold", "9", "--out", str(out)]
    assert main([*argv, "--workers", "2"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(out.read_text())
    assert [row["id"] for row in result["answers"]] == ["10", "281", "722", "796", "1502"]
    assert result["answers"][1]["gold"] == ["MI; CD"]
    assert result["figures"]["records"] == 5
    assert "5 records of 5 patients" in printed
    assert result["figures"]["classes"]["CD"]["records"] == 2
    for row in result["answers"]:
        assert row["answers"][0]
        assert {"NORM", "MI", "STTC", "CD", "HYP"} <= row["probabilities"].keys()
        assert all(0 <= p <= 1 for p in row["probabilities"].values())
    # The figures are those of the rows.
    rows = [Answered.from_json(row) for row in result["answers"]]
    assert [row.as_json() for row in rows] == result["answers"]
    assert ptbxl_super.TASK.score(rows, argparse.Namespace())["macro"] == result["figures"]["macro"]

    assert main([*argv, "--workers", "1", "--photo", "3", "--layout", "6x2", "--limit", "2", "--unconstrained"]) == 0
    other = json.loads(out.read_text())
    assert (result["unconstrained"], other["unconstrained"]) == (False, True)
    assert [row["id"] for row in other["answers"]] == ["10", "281"]
    assert other["answers"][0]["probabilities"] != result["answers"][0]["probabilities"]  # another page was seen


def test_pages_draws_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pages", "--rounds", "1", "--json"]) == 0
    speeds = json.loads(capsys.readouterr().out)["pages_per_second"]
    assert speeds.keys() == pages.KINDS.keys()
    assert all(0 < figures["min"] <= figures["median"] <= figures["max"] for figures in speeds.values())
    record = pages.records(1)[0]
    assert pages.clean(record, 0).shape == pages.with_matplotlib(record, 0).shape == (384, 544, 3)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped student as a float checkpoint: a sweep has to begin above the 4 bits."""
    folder = tmp_path_factory.mktemp("floats") / "float16"
    dequantize_checkpoint(Checkpoint.open("pulse-nano"), folder)
    return folder


def test_sweep_finds_more_error_with_fewer_bits(
    floats: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / PAGE.name).write_bytes(PAGE.read_bytes())
    out, schemes = tmp_path / "sweep.json", "float16,int8,int4-g128:rtn,int4-g128:gptq+vision=8"
    argv = ["sweep", str(floats), "--pages", str(tmp_path / "pages"), "--schemes", schemes, "--out", str(out)]
    assert main(argv) == 0
    steps = {step["scheme"]: step for step in json.loads(out.read_text())["steps"]}
    assert list(steps) == schemes.split(",")
    half, int8, int4, better = steps.values()
    assert half["logits"] < 1e-3 < int8["logits"] < int4["logits"]
    assert better["logits"] < int4["logits"]  # more bits where the picture is seen, and errors fed back
    assert half["bytes"] > int4["bytes"] > better["bytes"]  # the tower is float16 unless it is told otherwise
    assert half["same_answers"] == half["pages"] == 1
    assert half["flips"] == 0 < half["labels"]
    assert "| int4-g128:rtn |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("int3", "int3"),
        ("int4-g32:magic", "method magic is not known; use one of rtn, gptq, awq"),
        ("int4-g32+vision", "vision is not PART=BITS, as in vision=8"),
        ("int4-g32+wheels=8", "wheels"),
        ("int4-g32+head=5", "5"),
    ],
)
def test_a_scheme_that_does_not_exist(scheme: str, said: str, floats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(floats), "--schemes", f"float16,{scheme}"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_sweep_needs_a_float_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "pulse-nano", "--schemes", "int8"]) == 2
    error = capsys.readouterr().err
    assert "quantized" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("NORM", ("NORM",)),
        ("MI; STTC", ("MI", "STTC")),
        ("norm, mi", ()),  # case counts
        ("None of these", ()),
        ("The ECG shows MILD changes, HYPERTROPHY", ("MI", "HYP")),  # substrings, wherever they stand
        ("NORMAL. No CD.", ("NORM", "CD")),  # and negation is not understood
    ],
)
def test_classes_named_by_pulses_rule(answer: str, named: tuple[str, ...]) -> None:
    assert ptbxl_super.named(answer) == named


def test_score_by_hand() -> None:
    gold = {1: ("NORM",), 2: ("MI", "CD"), 3: ("MI",), 4: ("NORM",)}
    said = {1: "NORM", 2: "MI", 3: "NORM", 4: "STTC"}
    chances = {1: (0.9, 0.1), 2: (0.2, 0.8), 3: (0.6, 0.7), 4: (0.5, 0.3)}
    rows = [
        Answered(
            str(k),
            str(k),
            (Turn("", "; ".join(gold[k])),),
            (said[k],),
            is_ecg=0.2 if k == 4 else None,
            probabilities={"NORM": n, "MI": m, "STTC": 0.0, "CD": 0.0, "HYP": 0.0},
        )
        for k, (n, m) in chances.items()
    ]
    figures = ptbxl_super.TASK.score(rows, argparse.Namespace(), rounds=20)
    macro = {key: value[0] for key, value in figures["macro"].items()}
    # NORM: 1 hit, 1 missed, 1 false; MI: 1 hit, 1 missed; CD: missed; STTC: 1 false.
    assert macro["f1"] == pytest.approx(100 * (1 / 2 + 2 / 3) / 5, abs=1e-3)
    assert macro["hamming"] == pytest.approx(100 * 5 / 20)
    assert macro["hard_auc"] == pytest.approx(100 * (0.5 + 0.75 + 0.5) / 3, abs=1e-3)  # STTC and HYP have no record
    assert macro["auc"] == pytest.approx((0.75 + 1 + 0.5) / 3, abs=1e-3)
    assert figures["classes"]["MI"] == {
        "records": 2,
        "sensitivity": 50.0,
        "specificity": 100.0,
        "f1": 66.6667,
        "auc": 1.0,
    }
    assert figures["classes"]["HYP"]["sensitivity"] is None
    assert figures["no_class_named"] == 0
    assert figures["taken_for_no_ecg"] == 1
    low, high = figures["macro"]["f1"][1:]
    assert low < macro["f1"] < high
    assert "F1, answers in words" in ptbxl_super.TASK.as_text(figures)


def test_a_bundle_without_the_findings_gets_not_run_for_probabilities() -> None:
    rows = [Answered(name, name, (Turn("", name),), ("MI",), probabilities={"MI": 0.5}) for name in ("MI", "CD")]
    figures = ptbxl_super.TASK.score(rows, argparse.Namespace(), rounds=5)
    assert "auc" not in figures["macro"]
    assert "AUC of probabilities     not_run" in ptbxl_super.TASK.as_text(figures)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["latency", "nowhere"], "does not exist"),
        (["accuracy", "nowhere", "--task", "ptbxl-super", "--data", str(PTBXL)], "'nowhere': no such folder"),
        (["accuracy", "x", "--task", "ptbxl-super", "--data", "d", "--fold", "11"], "invalid choice: 11"),
        (["accuracy", "x", "--task", "cinema", "--data", "d", "--fold", "9"], "invalid choice: 'cinema'"),
        (["pages", "--rounds", "0"], "'0' is not a number from 1"),
        (["pages", "--out", "no/such/folder/x.json"], "give another --out"),
        ([], "required: VERB"),
        (["toaster"], "invalid choice: 'toaster'"),
    ],
)
def test_bad_input_is_one_line(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_bad_data_is_one_line(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for data, fold, said in ((tmp_path, "9", "holds no scp_statements.csv"), (PTBXL, "3", "fold 3 holds no record")):
        assert main(["accuracy", str(bundle), "--task", "ptbxl-super", "--data", str(data), "--fold", fold]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_a_result_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": np.nan})
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
