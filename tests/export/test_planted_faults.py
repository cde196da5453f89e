"""Small faults in every target: one number or row of a bundle's files changed, and its certificate fails.

The table in docs/certificates.md is what this file finds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from edge_runtime.bundle import Bundle, write_manifest
from export.certificate.bundle import certificate_of
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.llama import rotary
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model
from tests.exporting import export

TARGETS: dict[str, tuple[str, dict[str, Any]]] = {
    "onnx exact": ("onnx", {}),
    "onnx rounded": ("onnx", {}),
    "onnx int8 cache": ("onnx", {"kv": "int8"}),
    "executorch": ("executorch", {}),
    "coreml": ("coreml", {}),
    "coreai": ("coreai", {}),
    "qnn": ("qnn", {"soc": "none"}),
}
QUICK = ("onnx rounded",)  # the others are minutes, in `make test-all`
Made = tuple[str, Path, Checkpoint]


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in TARGETS]
)
def made(request: pytest.FixtureRequest, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A bundle, and the 4-bit checkpoint that it came from."""
    folder, (target, own) = tmp_path_factory.mktemp("faults"), TARGETS[request.param]
    source = request.getfixturevalue("wide" if request.param == "onnx rounded" else "checkpoint")
    quantize_checkpoint(with_norms(source, folder / "float"), folder / "int4")
    small = Checkpoint.open(folder / "int4")
    certificate, out = export(small, target, None, folder / "bundle", pages[:1], **own)
    assert certificate.status == "pass"
    return request.param, out, small


def with_norms(source: Checkpoint, folder: Path) -> Checkpoint:
    """The checkpoint with channels of its normalizations that differ: where all are ones, Core ML leaves them out."""
    shutil.copytree(source.folder, folder)
    state = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(0)
    for name in (name for name in state if name.endswith("layernorm.weight")):
        state[name] = (1 + 0.2 * torch.rand(state[name].shape, generator=draw)).half().float()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return Checkpoint.open(folder)


def scale(model: Llava) -> tuple[Tensor, Tensor]:
    """One group of one row, 10 % off."""
    right = model.get_submodule("language_model.model.layers.1.mlp.down_proj").weight_scale
    wrong = right.clone()
    wrong[3, 1] *= 1.1
    return right, wrong


def rope(model: Llava) -> tuple[Tensor, Tensor]:
    """Base 10,500 instead of 10,000, in the sines."""
    text = model.config.text
    positions = torch.arange(text.max_position_embeddings)
    right, wrong = (rotary(positions, text.head_dim, base)[1] for base in (text.rope_theta, 1.05 * text.rope_theta))
    return right, wrong


def bias(model: Llava) -> tuple[Tensor, Tensor]:
    """The projector's, left out."""
    right = model.get_submodule("multi_modal_projector.linear_2").bias
    return right, torch.zeros_like(right)


def norm(model: Llava) -> tuple[Tensor, Tensor]:
    """One channel of a normalization, 10 % off."""
    right = model.get_submodule("language_model.model.layers.1.post_attention_layernorm").weight
    wrong = right.clone()
    wrong[5] *= 1.1
    return right, wrong


def tokens(model: Llava) -> tuple[Tensor, Tensor]:
    """The embeddings of two tokens, swapped."""
    right = model.get_submodule("language_model.model.embed_tokens").weight
    wrong = right.clone()
    wrong[[200, 201]] = right[[201, 200]]
    return right, wrong


FAULTS: dict[str, tuple[Callable[[Llava], tuple[Tensor, Tensor]], str]] = {
    "scale": (scale, "decoder"),
    "rope": (rope, "decoder"),
    "bias": (bias, "vision_features"),
    "norm": (norm, "decoder"),
    "tokens": (tokens, "token_embeddings"),
}
FIRST = {"executorch": "decoder_texts", "coreai": "first_logits", "qnn": "first_logits"}  # the last two show no insides
# What a bundle cannot show, and why.
UNSEEN = {
    ("coreai", "rope"): "its graph computes the angles and holds no table of them",
    ("qnn", "scale"): "moves the logits less (2.3e-3) than 16 bits and float16 may (1e-2; 2.0e-3 without a fault)",
    ("qnn", "norm"): "moves the logits less (2.7e-3) than 16 bits and float16 may (1e-2; 2.0e-3 without a fault)",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_small_fault_is_found_at_its_stage(fault: str, made: Made, pages: list[Path], tmp_path: Path) -> None:
    name, out, checkpoint = made
    if (name, fault) in UNSEEN:
        pytest.skip(UNSEEN[name, fault])
    change, stage = FAULTS[fault]
    with torch.no_grad():
        right, wrong = change(load_model(checkpoint, "int4"))
    shutil.copytree(out, tmp_path / "bad")
    replace_tensor(tmp_path / "bad", right.detach(), wrong.detach())
    write_manifest(tmp_path / "bad", json.loads((tmp_path / "bad" / "manifest.json").read_text()))
    certificate = certificate_of(Bundle.load(tmp_path / "bad"), checkpoint, pages[:1])
    expected = FIRST.get(name, "decoder_steps") if stage == "decoder" else stage
    assert (certificate.status, certificate.first_diverging_stage) == ("fail", expected)


def replace_tensor(folder: Path, right: Tensor, wrong: Tensor) -> None:
    """Write `wrong` where a file of the bundle holds `right`, in whatever float type and layout it does."""
    done = 0
    for path in (p for p in folder.rglob("*") if p.suffix in (".onnx", ".pte", ".bin", ".mlmodel", ".mlirb")):
        data = path.read_bytes()
        for old, new in zip(forms(right), forms(wrong), strict=True):
            if old in data:
                data, done = data.replace(old, new), done + 1
        path.write_bytes(data)
    assert done


def forms(tensor: Tensor) -> list[bytes]:
    half = tensor.shape[-1] // 2
    # Tables of angles may be kept by halves, a product's scales with its outputs last.
    shapes = [tensor, tensor[:, :half], tensor.T] if tensor.ndim == 2 else [tensor]
    kinds = (torch.float32, torch.float16, torch.bfloat16)
    return [raw(each.to(kind)) for each in shapes for kind in kinds]


def raw(tensor: Tensor) -> bytes:
    kept = tensor.contiguous()
    return kept.view(torch.int16).numpy().tobytes() if kept.dtype == torch.bfloat16 else np.asarray(kept).tobytes()
