"""4-bit and 8-bit checkpoints in the layouts of other tools, written by the formats' definitions from integers that the
test chose: word by word, without this project's own packing."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tests.golden import GOLDEN

BASE = GOLDEN / "a" / "checkpoint"  # of the original LLaVA layout
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)


@dataclass(frozen=True)
class Layer:
    """codes [N, K] and zeros [N, G] from 0 up, scales float [N, G], groups: of each input [K]."""

    codes: np.ndarray
    zeros: np.ndarray
    scales: torch.Tensor
    groups: np.ndarray
    bits: int

    @property
    def weight(self) -> torch.Tensor:
        """float32 [N, K], exact: scale * (code - zero point) of each input's own group."""
        codes = torch.from_numpy(self.codes - self.zeros[:, self.groups]).double()
        return (codes * self.scales.double()[:, self.groups]).float()


def chosen(shape: tuple[int, int], seed: int, size: int | None, bits: int = 4, **kind: Any) -> Layer:
    """kind: symmetric (one zero point, the middle), shuffled (groups of any inputs), dtype (of scales)."""
    draw, (rows, inputs) = np.random.default_rng(seed), shape
    count, half = inputs // (size or inputs), 1 << (bits - 1)
    zeros = draw.integers(1, 2 * half, (rows, count))  # the first version of GPTQ's format cannot store 0
    if kind.get("symmetric"):
        zeros[:] = half
    groups = np.arange(inputs) // (size or inputs)
    if kind.get("shuffled"):
        groups = draw.permutation(groups)
    scales = torch.from_numpy(draw.uniform(0.005, 0.03, (rows, count))).to(kind.get("dtype", torch.float16))
    return Layer(draw.integers(0, 2 * half, (rows, inputs)), zeros, scales, groups, bits)


def words(values: np.ndarray, bits: int, axis: int) -> torch.Tensor:
    """Values from 0 up -> int32, 32 / bits of them along `axis` to a word, the first in the lowest bits."""
    rows = np.moveaxis(values, axis, -1).astype(np.uint64)
    per = 32 // bits
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % per)))
    packed = sum(rows[:, j::per] << np.uint64(bits * j) for j in range(per))
    return torch.from_numpy(np.moveaxis(packed.astype(np.uint32).view(np.int32), -1, axis).copy())


def gptq(layer: Layer, version: int = 1) -> dict[str, torch.Tensor]:
    return {
        "qweight": words(layer.codes.T, layer.bits, 0),
        "qzeros": words(layer.zeros.T - (version == 1), layer.bits, 1),
        "scales": layer.scales.T.contiguous(),
        "g_idx": torch.from_numpy(layer.groups.astype(np.int32)),
    }


def awq(layer: Layer) -> dict[str, torch.Tensor]:
    def interleaved(values: np.ndarray) -> torch.Tensor:
        blocks = values.T.reshape(values.shape[1], -1, 8)
        return words(blocks[..., AWQ_ORDER].reshape(values.shape[1], -1), 4, 1)

    return {
        "qweight": interleaved(layer.codes),
        "qzeros": interleaved(layer.zeros),
        "scales": layer.scales.T.contiguous(),
    }


def compressed(layer: Layer, symmetric: bool = False, packed_zeros: bool = True) -> dict[str, torch.Tensor]:
    half = 1 << (layer.bits - 1)
    zeros = words(layer.zeros, layer.bits, 0) if packed_zeros else torch.from_numpy(layer.zeros - half).to(torch.int8)
    return {
        "weight_packed": words(layer.codes, layer.bits, 1),
        "weight_scale": layer.scales,
        "weight_shape": torch.tensor(layer.codes.shape),
        **({} if symmetric else {"weight_zero_point": zeros}),
    }


def section(**weights: Any) -> dict[str, Any]:
    """quantization_config as llm-compressor writes it."""
    args = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True, "dynamic": False}
    group = {"targets": ["Linear"], "weights": {**args, **weights}, "input_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ["lm_head", "re:.*vision_tower.*", "re:.*mm_projector.*"],
    }


def write(folder: Path, config: dict[str, Any], layers: dict[str, dict[str, torch.Tensor]]) -> Path:
    """The golden checkpoint in `folder`, with `layers` by their published names in place of their weights."""
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    (folder.parent / "vision_tower").symlink_to(BASE.parent / "vision_tower")
    data = json.loads((BASE / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**data, "quantization_config": config}))
    tensors = {k: t for path in sorted(BASE.glob("*.safetensors")) for k, t in load_file(path).items()}
    tensors = {name: t for name, t in tensors.items() if name.removesuffix(".weight") not in layers}
    tensors |= {f"{name}.{last}": t for name, own in layers.items() for last, t in own.items()}
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors")
    return folder


def shapes() -> dict[str, tuple[int, int]]:
    """Of the golden checkpoint's decoder layers, by their published names."""
    found = {k: tuple(t.shape) for path in BASE.glob("*.safetensors") for k, t in load_file(path).items()}
    decoder = {k: s for k, s in sorted(found.items()) if k.startswith("model.layers.") and k.endswith("_proj.weight")}
    return {k.removesuffix(".weight"): s for k, s in decoder.items()}
