"""Latency: real processes on the shipped student, every setting, and what a device cannot run."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.devices import open_device
from benchmarks.metrics.spread import figure, slower
from benchmarks.verbs.latency import ROWS, measure
from edge_runtime.bundle import Bundle, write_manifest


def test_sweeps_threads_and_context(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, table = tmp_path / "latency.json", tmp_path / "latency.csv"
    argv = ["latency", str(bundle), "--threads", "1,2", "--context", "60,200", "--rounds", "2", "--runs", "2"]
    assert main([*argv, "--out", str(out), "--csv", str(table)]) == 0
    result = json.loads(out.read_text())
    rows = result["rows"]
    assert [(row["setting"]["threads"], row["setting"]["context"]) for row in rows] == [
        (1, 60), (1, 200), (2, 60), (2, 200),
    ]  # fmt: skip
    for row in rows:
        assert row["evidence"] == "measured"
        figures = row["figures"]
        assert figures.keys() == {key for key, _, _ in ROWS}
        assert all(len(f["rounds"]) == 2 and f["min"] <= f["median"] <= f["max"] for f in figures.values() if f)
        assert figures["start_ms"]["min"] > figures["open_ms"]["min"]  # a cold start opens the bundle, and more
        assert 50 < figures["peak_mb"]["median"] < 2000
        # The question is filled up to the context, by whole sentences.
        assert row["setting"]["context"] - 20 < row["prompt_positions"] <= row["setting"]["context"]
    assert len(rows[0]["bundle"]["sha256"]) == 64
    assert result["about"]["cpu"]
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    firsts = [line for line in lines if line["figure"] == "first_token_ms"]
    assert [line["threads"] for line in firsts] == ["1", "1", "2", "2"]
    assert float(firsts[0]["median"]) == rows[0]["figures"]["first_token_ms"]["median"]
    assert "picture to first token" in capsys.readouterr().out


def test_what_the_device_cannot_run_is_not_run(bundle: Path, tmp_path: Path) -> None:
    """A Core ML bundle here is one; the other bundle is measured all the same."""
    other = tmp_path / "apple"
    shutil.copytree(bundle, other)
    manifest: dict[str, Any] = json.loads((other / "manifest.json").read_text())
    write_manifest(other, {**manifest, "target": "coreml"})
    picture = Path(__file__).parents[2] / "pulse" / "ecg" / "examples" / "b-normal.png"
    refused, ran = measure(open_device("local"), [Bundle.load(other), Bundle.load(bundle)], picture, rounds=1, runs=1)
    assert refused["evidence"] == "not_run"
    assert "Apple's Core ML runs on Apple devices only" in refused["reason"]
    assert "figures" not in refused
    assert ran["evidence"] == "measured"
    assert Bundle.load(other).manifest.target == "coreml"


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ["--device", "toaster://x"],
            "device 'toaster' is not one this version has; use one of adb, aihub, app, emulated, local, simulated, ssh",
        ),
        (["--device", "local://x"], "device local://x: this machine's address is local"),
        (["--provider", "cuda"], "provider cuda is not here; this ONNX Runtime has cpu"),
        (["--image", "none.png"], "none.png: is no file; give --image a picture of an ECG page"),
        (["--tiles", "3"], "--tiles 3: this model looks at one tile only; leave --tiles out"),
        (["--context", "9"], "context 9: page and question take"),
        (["--threads", "0"], "argument --threads: '0' is not a number from 1"),
        (["--csv", "/none/a.csv"], "/none/a.csv: its folder does not exist"),
    ],
)
def test_wrong_use_is_one_line(bundle: Path, argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", str(bundle), "--rounds", "1", "--runs", "1", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"pulse-bench: {line}")
    assert err.count("\n") == 1


def test_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latency", str(tmp_path)]) == 2
    assert "has no manifest.json, so it is no bundle" in capsys.readouterr().err


def test_a_figure_knows_its_noise() -> None:
    steady = figure([[10, 10, 10], [10, 10, 10]])
    assert (steady["median"], steady["interval"], steady["rounds"]) == (10, [10, 10], [10, 10])
    # Two rounds apart by far more than the readings within them: the interval spans both.
    apart = figure([[10, 10.1, 9.9], [20, 20.1, 19.9]])
    assert apart["interval"][0] < 11
    assert apart["interval"][1] > 19
    # The interval of one round is that of its readings: here known to hold the median of the distribution.
    draw = np.random.default_rng(5)
    held = [f["interval"][0] <= 0 <= f["interval"][1] for f in (figure([draw.normal(size=40)]) for _ in range(60))]
    assert 50 <= sum(held) <= 60
    with pytest.raises(ValueError, match="every round needs a reading"):
        figure([[1.0], []])


def test_slower_means_every_round_and_more_than_the_tolerance() -> None:
    old = figure([[10.0], [11.0], [12.0]])
    assert slower(old, figure([[14.0], [15.0], [16.0]]), 0.1)
    assert not slower(old, figure([[11.9], [15.0], [16.0]]), 0.1)  # one round as fast as before
    assert not slower(figure([[10.0]]), figure([[10.5]]), 0.1)  # slower, within the tolerance
    assert slower(old, figure([[5.0], [6.0], [7.0]]), 0.1, higher_is_better=True)
    assert not slower(old, figure([[14.0], [15.0], [16.0]]), 0.1, higher_is_better=True)
