"""Nobody gets a simulator unasked, nor without one when asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.verbs._simulated as simulated
from benchmarks.cli import main
from benchmarks.devices import open_device
from benchmarks.subjects.features import apart, features_of
from benchmarks.subjects.subject import Subject
from benchmarks.subjects.tosa import OnTosa
from benchmarks.task import Asked
from benchmarks.verbs._simulated import check_subjects
from edge_runtime.bundle import Bundle
from edge_runtime.engines.qnn import simulator
from edge_runtime.errors import UserError
from export.pages import example_pages
from pulse.checkpoint.checkpoint import Checkpoint
from tests.export.tosa_tools import planted


def for_hexagon() -> Subject:
    """A bundle that says it is for target qnn; nothing here opens it."""
    bundle = Bundle.read("pulse-nano")
    return Subject(Bundle(Path("nano-qnn"), replace(bundle.manifest, target="qnn")))


@pytest.mark.skipif(not simulator(), reason="no simulator of Hexagon here: pip install 'pulse-edge[npu]' on x86 Linux")
def test_a_simulator_is_asked_for_by_name() -> None:
    with pytest.raises(UserError, match="--simulated hexagon asks it, --limit N fewer pages"):
        check_subjects([for_hexagon()], None)
    check_subjects([Subject.open("pulse-nano"), for_hexagon()], "hexagon")


def test_where_nothing_is_simulated_the_option_is_refused() -> None:
    with pytest.raises(UserError, match="none of the bundles is for a chip that is simulated"):
        check_subjects([Subject.open("pulse-nano")], "hexagon")
    check_subjects([Subject.open("pulse-nano")], None)


def test_a_simulator_that_nobody_knows() -> None:
    with pytest.raises(UserError, match="no simulator of tpu is known; use simulated://hexagon"):
        open_device("simulated://tpu")


def test_checkpoints_towers_are_simulated_by_tosa() -> None:
    page = example_pages()[0]
    asked = [Asked("a", str(page), (), "a")]
    checkpoint = Checkpoint.open("pulse-nano")
    subject = OnTosa.compute(checkpoint, asked, planted(0.03)(Path("nowhere")))
    assert (subject.evidence, subject.about()["target"]) == ("simulated", "tosa, ethos-u85-256")
    assert subject.about()["sha256"] != Subject(checkpoint).about()["sha256"]
    got, want = (features_of(each, asked)[0] for each in (subject, Subject(checkpoint)))
    assert apart([want], [got]) == pytest.approx(0.03, rel=0.05)


@pytest.mark.slow
def test_retention_pairs_them_with_float32(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(simulated, "open_environment", lambda: planted(0.03)(Path("nowhere")))
    argv = ["retention", "pulse-nano", "pulse-nano", "--simulated", "tosa", "--limit", "2", "--workers", "1", "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    (model,) = found["models"]
    assert (found["reference"]["evidence"], model["evidence"]) == ("measured", "simulated")
    gates = model["kept"]["verdict"]["gates"]
    assert gates["features"]["value"] == pytest.approx(0.03, rel=0.05)
    assert gates["probabilities_mean"]["value"] > 0


def test_tosa_takes_no_bundle_and_needs_its_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["retention", "pulse-nano", "edge_runtime/nano", "--simulated", "tosa", "--limit", "1"]) == 2
    assert "is a bundle, and TOSA simulates checkpoints" in capsys.readouterr().err
    assert main(["retention", "pulse-nano", "pulse-nano", "--simulated", "tosa", "--limit", "1"]) == 2
    assert "holds no environment for Arm's TOSA tools; make it with" in capsys.readouterr().err
