"""pulse-export from end to end: the bundle answers, the certificate tells the truth, and mistakes cost one line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from export.certificate.bundle import certificate_of
from export.cli import main
from export.target import Job, Runner, Target, find
from export.targets.onnx.graphs import write_graphs
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.memory import MEMORY
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.cli import main as quantize
from quantize.precision import Precision
from tests.exporting import Instead, engine_of, export

STAGES = [
    "pixels",
    "vision_features",
    "token_texts",
    "token_embeddings",
    "decoder_steps",
    "first_logits",
    "greedy_tokens",
    "label_probabilities",
]


def test_bundle_answers_and_carries_its_certificate(bundle: Path, pages: list[Path]) -> None:
    session = Session.open(bundle)
    answer = session.look(pages[0]).ask("Report?").finish()
    assert answer.token_ids
    assert 0 <= answer.findings[0].probability <= 1
    written = json.loads((bundle / "certificate.json").read_text())
    assert written["status"] == "pass"
    assert [stage["stage"] for stage in written["stages"]] == STAGES
    assert all(stage["error"] <= stage["threshold"] for stage in written["stages"])
    assert [page["file"] for page in written["pages"]] == [page.name for page in pages]
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["weights"] == "int4"
    assert "certificate.json" in manifest["files"]


@pytest.fixture
def instant(bundle: Path) -> Target[Any]:
    """Target onnx that copies the graphs of `bundle`: for tests of what happens around it."""

    def copy(job: Job[Any], model: object, folder: Path) -> dict[str, str]:
        names = {name: f"{name}.onnx" for name in ("vision", "embed", "decoder")}
        for name in names.values():
            shutil.copyfile(bundle / name, folder / name)
        return names

    return replace(find("onnx"), write=copy)


class Blind:
    """A bundle's engine that sees nothing."""

    def __init__(self, bundle: Bundle) -> None:
        engine = engine_of(bundle)
        self.embed, self.decode, self.empty_cache = engine.embed, engine.decode, engine.empty_cache
        self._vision = engine.vision

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        return 0 * self._vision(pixels)


@pytest.mark.parametrize("weights", ["int4", "float16"])
def test_weights_from_a_4_bit_checkpoint(
    weights: str, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "q", Precision("int4-g64"))
    certificate, out = export(Checkpoint.open(tmp_path / "q"), "onnx", weights, tmp_path / "out", pages)
    assert certificate.status == "pass"
    nodes = {node.op_type for node in onnx.load(out / "decoder.onnx").graph.node}
    assert ("MatMulNBits" in nodes) == (weights == "int4")


def test_a_model_without_findings_is_not_passed_for_them(
    instant: Target[Any], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    config["inference"] |= {"findings": [], "is_ecg": None}
    (folder / "config.json").write_text(json.dumps(config))
    certificate, _ = export(Checkpoint.open(folder), instant, "int4", tmp_path / "out", pages)
    assert certificate.status == "incomplete"
    assert certificate.stages[-1].status == "not_run"


def test_command_exits_1_when_the_certificate_fails(
    instant: Target[Any], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = [str(checkpoint.folder), "--target", "onnx", "--pages", str(pages[0].parent), "--out"]
    assert main([*arguments, str(tmp_path / "good"), "--json"], Instead.of(instant)) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["certificate"]["status"] == "pass"
    blind = replace(instant, runner=lambda: Runner("a blind engine", Blind))
    assert main([*arguments, str(tmp_path / "bad")], Instead.of(blind)) == 1
    text = capsys.readouterr().out
    assert "first differs from the model at: vision_features" in text
    assert "certificate: fail (run by a blind engine)" in text
    assert (tmp_path / "bad" / "certificate.json").is_file()


def test_an_interrupted_export_leaves_no_bundle_but_its_work(
    instant: Target[Any], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    def stop(bundle: Bundle) -> None:
        raise KeyboardInterrupt

    made = []

    def write(job: Job[Any], model: Llava, folder: Path) -> dict[str, str]:
        made.append((job.checkpoint.folder / "model.safetensors").stat().st_mtime_ns)
        return instant.write(job, model, folder)

    out = tmp_path / "out" / "bundle"
    arguments = [str(checkpoint.folder), "--target", "onnx", "--pages", str(pages[0].parent), "--out", str(out)]
    stopped = replace(instant, write=write, runner=lambda: Runner("nothing", stop))  # every file is written by then
    assert main(arguments, Instead.of(stopped)) == 130
    assert [path.name for path in out.parent.iterdir()] == [".bundle.work"]
    assert main(arguments, Instead.of(replace(instant, write=write))) == 0
    assert made[0] == made[1]  # what it had quantized is not quantized again
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent", "--target", "onnx"], "no such folder"),
        (["PULSE-ECG/PULSE-7B", "--target", "onnx"], "the hub does not give it"),
        (["CHECKPOINT", "--target", "tensorrt"], "invalid choice: 'tensorrt'"),
        (["CHECKPOINT", "--target", "onnx", "--weights", "int3"], "invalid choice: 'int3'"),
        (["CHECKPOINT", "--target", "coreml", "--onnx-style", "qdq"], "goes with --target onnx"),
        (["EMPTY", "--target", "onnx"], "no tokenizer.json"),
        (["BROKEN", "--target", "onnx"], "are not those of its config.json"),
        (["CHECKPOINT", "--target", "onnx", "--out", "CHECKPOINT"], "already exists"),
        (["CHECKPOINT"], "--target"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    arguments: list[str], reason: str, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "EMPTY").mkdir()
    shutil.copyfile(checkpoint.folder / "config.json", tmp_path / "EMPTY" / "config.json")
    shutil.copytree(checkpoint.folder, tmp_path / "BROKEN")
    config = json.loads((checkpoint.folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] = 64
    (tmp_path / "BROKEN" / "config.json").write_text(json.dumps(config))
    places = {"CHECKPOINT": checkpoint.folder, "EMPTY": tmp_path / "EMPTY", "BROKEN": tmp_path / "BROKEN"}
    arguments = [str(places.get(a, a)) for a in arguments]
    if "--out" not in arguments:
        arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert reason in error[-1]
    assert len([line for line in error if not line.startswith("exporting ")]) == 1
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_without_a_prompt_says_what_is_missing(
    instant: Target[Any], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["inference"]["prompt"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="inference: prompt must be a JSON object but is absent; correct it"):
        export(Checkpoint.open(folder), instant, "float32", tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("scheme", "target", "reason"),
    [
        ("int4-g32-asym", "executorch", "no operator for asymmetric weights"),
        ("nf4", "executorch", "no operator for nf4"),
        ("nf4", "coreml", "coremltools#2716"),
    ],
)
def test_weights_that_a_format_has_no_operator_for(
    scheme: str, target: str, reason: str, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "q", Precision(scheme))
    assert main([str(tmp_path / "q"), "--target", target, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert reason in error.splitlines()[-1]
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_bundle_of_standard_operators_is_certified_as_exact(
    checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    certificate, folder = export(checkpoint, "onnx", "int4", tmp_path / "qdq", pages, onnx_style="qdq")
    assert certificate.status == "pass"
    errors = {stage.stage: stage.error for stage in certificate.stages}
    assert errors["vision_features"] < 1e-5
    assert errors["first_logits"] < 1e-5
    assert Session.open(folder).look(pages[0]).ask(allow_non_ecg=True).finish().token_ids


def test_weights_that_a_checkpoint_does_not_have(checkpoint: Checkpoint, tmp_path: Path) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "q", Precision("int8"))
    with pytest.raises(UserError, match="its weights are int8, not int4"):
        export(Checkpoint.open(tmp_path / "q"), "onnx", "int4", tmp_path / "out")
    with pytest.raises(UserError, match="--scheme int8 makes it int8"):
        export(checkpoint, "onnx", "int8", tmp_path / "out")


def test_a_calibrated_checkpoint_with_8_bits_around_it(
    checkpoint: Checkpoint, pages: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, around = tmp_path / "q", ["--vision-bits", "8", "--embeddings-bits", "8", "--head-bits", "8"]
    arguments = [str(checkpoint.folder), "--scheme", "int4-g32-asym", "--out", str(out), *around]
    assert quantize([*arguments, "--method", "gptq"]) == 2
    assert "give --calibration" in capsys.readouterr().err
    assert quantize([*arguments, "--calibration", "examples"]) == 2
    assert "rtn looks at no page" in capsys.readouterr().err
    for pages_name in ("nowhere", str(out.parent)):
        assert quantize([*arguments, "--method", "awq", "--calibration", pages_name]) == 2
    assert "holds no PNG or JPEG page" in capsys.readouterr().err
    assert quantize([*arguments, "--method", "gptq", "--calibration", str(pages[0].parent)]) == 0
    certificate, bundle = export(Checkpoint.open(out), "onnx", None, tmp_path / "bundle", pages)
    assert certificate.status == "pass"
    assert json.loads((bundle / "manifest.json").read_text())["weights"] == "int4"


def test_memory_by_stage_is_in_the_bundle(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    assert MEMORY in loaded.manifest.files
    stages = json.loads((bundle / MEMORY).read_text())["stages"]
    assert list(stages) == ["quantize", "graphs", "certificate"]
    assert all(stage["peak_resident"] > 1e8 for stage in stages.values())


def test_a_certificate_that_does_not_fit_is_not_run(bundle: Path, checkpoint: Checkpoint, pages: list[Path]) -> None:
    certificate = certificate_of(Bundle.load(bundle), checkpoint, pages, most=1_000_000)
    assert certificate.status == "incomplete"
    assert {stage.status for stage in certificate.stages} == {"not_run"}
    assert "run pulse-verify on a larger machine" in certificate.stages[0].reason


def test_too_low_a_limit_is_refused_before_any_work(
    checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main([str(checkpoint.folder), "--target", "onnx", "--out", str(tmp_path / "b"), "--max-memory", "100MB"]) == 2
    )
    error = capsys.readouterr().err
    assert "the stage graphs takes about" in error
    assert list(tmp_path.iterdir()) == []


def test_weights_beside_the_graph_give_the_same_bundle(
    checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    def write(job: Job[Any], model: Llava, folder: Path) -> dict[str, str]:
        return write_graphs(model, job.config, job.weights, folder, external_above=0)

    certificate, folder = export(checkpoint, replace(find("onnx"), write=write), "int4", tmp_path / "b", pages)
    assert (folder / "decoder.onnx.data").is_file()
    assert certificate.status == "pass"
