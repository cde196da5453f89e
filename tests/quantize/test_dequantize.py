"""A float checkpoint made of a quantized one computes what the quantized one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.cli import main
from quantize.dequantize import dequantize_checkpoint
from quantize.load import load_model


def test_the_same_values_in_float16(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "float16"
    assert main(["pulse-nano", "--scheme", "float16", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] > 7e6
    ours, config = load_model(Checkpoint.open(out)), Checkpoint.open(out).config
    theirs = load_model(Checkpoint.open("pulse-nano"), "float16")
    for (name, a), (same, b) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert name == same
        assert torch.equal(a, b), name
    assert "quantization_config" not in config.extra
    assert (out / "tokenizer.json").is_file()
    # And it can be quantized again, otherwise.
    assert main([str(out), "--scheme", "int8", "--out", str(tmp_path / "int8")]) == 0


def test_a_float_checkpoint_is_refused(tmp_path: Path) -> None:
    dequantize_checkpoint(Checkpoint.open("pulse-nano"), tmp_path / "f")
    with pytest.raises(UserError, match="is a float checkpoint already; give a quantized one"):
        dequantize_checkpoint(Checkpoint.open(tmp_path / "f"), tmp_path / "g")
    assert not (tmp_path / "g").exists()
