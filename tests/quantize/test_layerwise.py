"""gptq and awq a layer at a time: the integers of a whole model in memory, work that goes on after a kill, and a limit
that is refused before any of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from benchmarks.verbs.random_checkpoint import SHAPES, write_random_checkpoint
from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.files.memory import MEMORY
from pulse.model.llava import Llava
from quantize import methods
from quantize.calibration import Calibration, Pages, calibration_pages, dialogues, page_features
from quantize.checkpoint import quantize_checkpoint
from quantize.cli import main
from quantize.gptq import gptq
from quantize.layers import stored
from quantize.load import load_model
from quantize.precision import Precision
from quantize.scheme import INT4, METHODS
from quantize.steps import Steps

LAYERS = SHAPES["tiny"][1].num_hidden_layers
KILLED = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_layerwise import LATE, small_pages
from quantize.calibration import Calibration
from quantize.checkpoint import quantize_checkpoint
from pulse.checkpoint.checkpoint import Checkpoint
def die(name):
    if name == LATE:
        os.kill(os.getpid(), signal.SIGKILL)
how = Calibration(sys.argv[3], small_pages())
quantize_checkpoint(Checkpoint.open(sys.argv[1]), Path(sys.argv[2]), calibration=how, progress=die)
"""
LATE = "language_model.model.layers.1.mlp.gate_proj.weight"


def small_pages() -> Pages:
    """Two pages of noise; small ones, which are two tiles and the squashed page."""
    return Pages([partial(_noise, seed) for seed in range(2)], "noise")


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (300, 400, 3), np.uint8)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "source"
    write_random_checkpoint(folder, *SHAPES["tiny"])
    return folder


@pytest.fixture(scope="module")
def results(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The quantized checkpoint of each method."""
    folder = tmp_path_factory.mktemp("results")
    for method in METHODS:
        quantize_checkpoint(Checkpoint.open(source), folder / method, calibration=Calibration(method, small_pages()))
    return {method: folder / method for method in METHODS}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("model*")}


@torch.no_grad()
def test_gptq_gives_the_integers_of_a_whole_model_in_memory(source: Path, results: dict[str, Path]) -> None:
    """What reaches a layer depends on the layers before it alone, so all of them can be run as they were quantized."""
    model, quantized = load_model(Checkpoint.open(source)), load_model(Checkpoint.open(results["gptq"]), "float32")
    features = list(page_features(model.vision_tower, model.config.inference, small_pages()))
    texts = list(
        dialogues(model, model.config.inference, Tokenizer(results["gptq"] / TOKENIZER), small_pages(), features)
    )
    assert len(texts) == 4
    with safe_open(results["gptq"] / "model.safetensors", framework="pt") as file:
        for name, inputs in inputs_of(quantized, texts).items():
            moments = sum(x.T @ x for x in inputs) / sum(len(x) for x in inputs)
            weight = model.get_submodule(name).weight
            assert isinstance(weight, torch.Tensor)
            for last, piece in stored(gptq(weight, moments, INT4), tuple(weight.shape)).items():
                assert torch.equal(file.get_tensor(f"{name}.{last}"), piece), f"{name}.{last}"


def inputs_of(model: Llava, texts: list[torch.Tensor]) -> dict[str, list[torch.Tensor]]:
    """Inputs [rows, K] of each Linear of the decoder, by its name, text by text."""
    seen: dict[str, list[torch.Tensor]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ".layers." in name and name.startswith("language_model"):
            module.register_forward_pre_hook(lambda m, x, n=name: seen.setdefault(n, []).append(x[0].flatten(0, -2)))
    for text in texts:
        model.language_model(text)
    assert len(seen) == 7 * LAYERS
    return seen


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_goes_on_with_its_layer(
    method: str, source: Path, results: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(source), str(out), method]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    settled: list[str] = []
    monkeypatch.setattr(methods, "page_features", None)  # pages are not looked at again
    calibration = Calibration(method, small_pages())
    quantize_checkpoint(Checkpoint.open(source), out, calibration=calibration, progress=settled.append)
    calibrated = settled[: settled.index("language_model.model.layers.1.mlp.down_proj.weight") + 1]
    assert [name.split(".")[3] for name in calibrated] == ["1"] * 4
    assert contents(out) == contents(results[method])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    stages = json.loads((out / MEMORY).read_text())["stages"]
    assert list(stages) == ["calibrate", "quantize"]


def test_damaged_work_is_made_anew(tmp_path: Path) -> None:
    def filled(folder: Path) -> Steps:
        steps = Steps(folder)
        for k in range(3):
            steps.finish([torch.full((2, 3), float(k))] * 2, lambda k=k: {f"layer{k}.scale": torch.tensor([k])})
        return steps

    whole = filled(tmp_path / "a")
    again = Steps(tmp_path / "a")
    assert again.done == 3
    assert [float(x[0, 0]) for x in again.states()] == [2.0, 2.0]
    assert {name: int(found["scale"]) for name, found in whole.found().items()} == {
        f"layer{k}.weight": k for k in range(3)
    }
    assert not list((tmp_path / "a" / "step-001").glob("state-*"))  # the disk holds one step's activations
    for file in ("step-000/found.safetensors", "step-002/state-00001.safetensors"):
        folder = tmp_path / file.replace("/", "-")
        filled(folder)
        data = bytearray((folder / file).read_bytes())
        data[-1] ^= 1
        (folder / file).write_bytes(data)
        assert Steps(folder).done == 0
        assert list(folder.iterdir()) == []
    (tmp_path / "a" / "step-003").mkdir()  # cut off
    assert Steps(tmp_path / "a").done == 3
    assert not (tmp_path / "a" / "step-003").exists()


def test_a_limit_is_refused_before_a_page_is_looked_at(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "page_features", None)
    monkeypatch.setattr(methods, "plan", lambda *rest: 3_000_000_000)
    arguments = [str(source), "--out", str(tmp_path / "out"), "--method", "gptq", "--calibration", "examples"]
    assert main([*arguments, "--max-memory", "2GB"]) == 2
    error = capsys.readouterr().err
    assert "the stage calibrate takes about 3.0 GB" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_plan_of_the_7b_fits_a_small_machine(source: Path) -> None:
    vision, text = SHAPES["7b"]
    config = Checkpoint.open(source).config.resized(vision, text)
    for method in METHODS:
        assert 3e9 < methods.plan(config, Precision(), method) <= 6e9


def test_pages_are_drawn_when_asked_for(tmp_path: Path) -> None:
    pages = calibration_pages("ptbxl:tests/data/ptbxl", range(1, 10), 2)
    assert len(pages) == 2
    assert pages[0].dtype == np.uint8
    assert np.array_equal(pages[1], pages[1])
    assert json.dumps(pages.identity) != json.dumps(
        calibration_pages("ptbxl:tests/data/ptbxl", range(1, 10), 1).identity
    )
    with pytest.raises(UserError, match="neither examples nor"):
        calibration_pages(os.fspath(tmp_path / "none"))
