"""pulse-verify: a sound bundle, a broken one, bundles side by side, and wrong use."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import Engine
from edge_runtime.errors import CannotRunHere
from export.certificate.across import Reading, agreement
from export.target import Runner, find
from export.verify_cli import main
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.load import load_model
from tests.exporting import Instead, export


@pytest.fixture(scope="module")
def exact(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(checkpoint, "onnx", "float32", tmp_path_factory.mktemp("verify") / "float32", pages)[1]


def test_two_sound_bundles_stand_side_by_side(
    bundle: Path, exact: Path, checkpoint: Checkpoint, pages: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(bundle), str(exact), "--model", str(checkpoint.folder), "--pages", str(pages[0].parent)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert text.count("certificate: pass") == 2
    assert f"onnx        int4     {len(pages)} of {len(pages)}" in text
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {c["status"] for c in printed["certificates"].values()} == {"pass"}
    assert [(row["weights"], row["flips"], row["same_answers"]) for row in printed["agreement"]] == [
        ("int4", 0, len(pages)),
        ("float32", 0, len(pages)),
    ]


def test_a_bundle_with_other_weights_inside_fails_though_its_digests_are_right(
    bundle: Path,
    exact: Path,
    checkpoint: Checkpoint,
    pages: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    # The stem's bias, wherever it lies in the folder.
    bias = load_model(checkpoint, "int4").vision_tower.layers[0].conv.bias.detach().numpy()
    files = [p for p in broken.iterdir() if bias.tobytes() in p.read_bytes()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes().replace(bias.tobytes(), (bias + 1).astype(np.float32).tobytes()))
    write_manifest(broken, json.loads((broken / "manifest.json").read_text()))
    assert main([str(broken), "--model", str(checkpoint.folder), "--pages", str(pages[0].parent)]) == 1
    assert "first differs from the model at: vision_features" in capsys.readouterr().out


def test_a_bundle_of_another_machine_is_incomplete_and_has_no_row(
    bundle: Path, exact: Path, checkpoint: Checkpoint, pages: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def elsewhere(_: Bundle) -> Engine:
        raise CannotRunHere("its delegate runs on phones")

    targets = Instead.of(replace(find("onnx"), runner=lambda: Runner("nothing", elsewhere)))
    arguments = [str(bundle), str(exact), "--model", str(checkpoint.folder), "--pages", str(pages[0].parent)]
    assert main(arguments, targets) == 1
    text = capsys.readouterr().out
    assert text.count("not_run  its delegate runs on phones") == 10
    assert "same answers" not in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "required: BUNDLE"),
        (["absent"], "absent: does not exist"),
        (["{bundle}"], "was not made from the weights in"),
        (["{bundle}", "--model", "{checkpoint}", "--pages", "{empty}"], "give a folder of ECG pages"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str],
    reason: str,
    bundle: Path,
    checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [a.format(bundle=bundle, checkpoint=checkpoint.folder, empty=tmp_path) for a in arguments]
    assert main(filled) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pulse-verify: ")
    assert reason in line


def test_agreement_by_hand(bundle: Path) -> None:
    want = [Reading((1, 2), np.array([0.4, 0.9])), Reading((3,), np.array([0.1, 0.6]))]
    got = [Reading((1, 2), np.array([0.6, 0.9])), Reading((4,), np.array([0.1, 0.7]))]
    row = agreement(Bundle.load(bundle), got, want)
    assert (row.same_answers, row.pages, row.flips, row.labels) == (1, 2, 1, 4)
    assert row.difference == pytest.approx(0.075)  # pages: 0.10 and 0.05
    assert row.interval == pytest.approx((0.05, 0.10))
    assert row.largest == pytest.approx(0.2)
