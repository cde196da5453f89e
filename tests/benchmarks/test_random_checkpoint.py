"""The random checkpoint is of PULSE's own layout, of the shape that was asked for, and the same for the same seed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.cli import main
from benchmarks.verbs.random_checkpoint import SHAPES, random_tensors, write_random_checkpoint
from edge_runtime.tokenizer import Tokenizer
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from pulse.model.llava import Llava
from quantize.load import load_model
from tests.golden import GOLDEN

VISION, TEXT = SHAPES["tiny"]


def test_it_reads_as_a_published_checkpoint(tmp_path: Path) -> None:
    written = write_random_checkpoint(tmp_path / "r", VISION, replace(TEXT, num_hidden_layers=3))
    checkpoint = Checkpoint.open(tmp_path / "r")
    config, published = checkpoint.config, checkpoint.published
    assert published is not None
    assert published.vision is None  # the tower's weights are in it
    assert (config.vision, config.text) == (VISION, replace(TEXT, num_hidden_layers=3))
    model = load_model(checkpoint)
    linear = model.language_model.model.layers[2].mlp.down_proj.weight
    assert float(linear.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert written == pytest.approx(sum(p.numel() for p in model.parameters()) * 2, rel=0.02)  # CLIP's last layer


def test_its_names_are_those_of_the_original() -> None:
    index = json.loads((GOLDEN / "a" / "checkpoint" / "model.safetensors.index.json").read_text())
    theirs = {re.sub(r"layers\.\d+", "layers.N", name) for name in index["weight_map"]}
    ours = {re.sub(r"layers\.\d+", "layers.N", name) for name, _ in random_tensors(VISION, TEXT, 0)}
    assert ours == {name for name in theirs if ".post_layernorm." not in name}  # which LLaVA never reads


def test_a_seed_gives_the_same_weights_again() -> None:
    first, again, other = (dict(random_tensors(VISION, TEXT, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_the_default_shape_is_that_of_pulse_7b() -> None:
    with torch.device("meta"):
        model = Llava(Checkpoint.open(NANO).config.resized(*SHAPES["7b"]))
    billions = sum(p.numel() for p in model.parameters()) / 1e9
    assert billions == pytest.approx(7.05, abs=0.02)  # 14.1 GB of bfloat16, as it is published


def test_its_tokenizer_has_a_piece_for_every_row(tmp_path: Path) -> None:
    assert main(["random-checkpoint", str(tmp_path / "r"), "--shape", "tiny", "--layers", "1"]) == 0
    Checkpoint.open(tmp_path / "r").write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.vocab_size == TEXT.vocab_size
    assert tokenizer.decode(tokenizer.encode("Is this a normal ECG? 12")) == "Is this a normal ECG? 12"
    assert tokenizer.decode([700])


def test_wrong_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("x")
    for argv, reason in (
        ([str(tmp_path / "there")], "already exists"),
        ([str(tmp_path / "n"), "--layers", "0"], "'0' is not a number from 1"),
    ):
        assert main(["random-checkpoint", *argv]) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
    assert not (tmp_path / "n").exists()
