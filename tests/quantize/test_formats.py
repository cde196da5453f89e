"""Integer checkpoints of other tools: their own integers and scales, bit for bit, or one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.cli import main
from quantize.formats.layout import own_layout
from quantize.layers import IntLinear
from quantize.load import load_model
from quantize.quantization_config import kind_of
from tests import foreign
from tests.foreign import Layer, awq, chosen, compressed, gptq, section, write
from tests.fuzz import changed, often, read_or_refuse

GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
GOLDEN_A = Checkpoint.open(foreign.BASE)
Packed = Callable[[Layer], dict[str, torch.Tensor]]


def packed_by(name: str, **how: Any) -> Packed:
    return lambda layer: {"gptq": gptq, "awq": awq, "compressed": compressed}[name](layer, **how)


LAYOUTS: dict[str, tuple[dict[str, Any], Packed, dict[str, Any]]] = {
    "gptq": (GPTQ, packed_by("gptq"), {"symmetric": True}),
    "gptq, zero points": (GPTQ | {"sym": False}, packed_by("gptq"), {}),
    "gptq, any inputs in a group": (
        GPTQ | {"desc_act": True}, packed_by("gptq"), {"symmetric": True, "shuffled": True}
    ),
    "gptq_v2": (GPTQ | {"checkpoint_format": "gptq_v2"}, packed_by("gptq", version=2), {"shuffled": True}),
    "gptq_v2 of GPTQModel": (GPTQ | {"format": "gptq_v2"}, packed_by("gptq", version=2), {}),
    "gptq, channels": (GPTQ | {"group_size": -1}, packed_by("gptq"), {"size": None, "symmetric": True}),
    "gptq, 8 bits": (GPTQ | {"bits": 8}, packed_by("gptq"), {"bits": 8}),
    "gptq, bfloat16": (GPTQ, packed_by("gptq"), {"dtype": torch.bfloat16, "symmetric": True}),
    "awq": (AWQ, packed_by("awq"), {}),
    "awq of GPTQModel": (
        {"quant_method": "awq", "bits": 4, "format": "gemm", "zero_point": True}, packed_by("awq"), {}
    ),
    "pack-quantized": (section(), packed_by("compressed", symmetric=True), {"symmetric": True}),
    "pack-quantized, bfloat16": (
        section(), packed_by("compressed", symmetric=True), {"symmetric": True, "dtype": torch.bfloat16}
    ),
    "pack-quantized, float32": (
        section(), packed_by("compressed", symmetric=True), {"symmetric": True, "dtype": torch.float32}
    ),
    "pack-quantized, zero points": (section(symmetric=False), packed_by("compressed"), {}),
    "pack-quantized, unpacked zero points": (
        section(symmetric=False), packed_by("compressed", packed_zeros=False), {}
    ),
    "pack-quantized, channels": (
        section(strategy="channel", group_size=None), packed_by("compressed", symmetric=True),
        {"size": None, "symmetric": True},
    ),
    "pack-quantized, 8 bits": (section(num_bits=8, symmetric=False), packed_by("compressed"), {"bits": 8}),
    "pack-quantized, any inputs in a group": (
        section(symmetric=False, actorder="group"),
        lambda layer: compressed(layer) | {"weight_g_idx": gptq(layer)["g_idx"]},
        {"shuffled": True},
    ),
}  # fmt: skip


def written(layout: str, folder: Path) -> tuple[Path, dict[str, Layer]]:
    config, packed, kind = LAYOUTS[layout]
    kind = {"size": 32, **kind}
    layers = {name: chosen(shape, seed, **kind) for seed, (name, shape) in enumerate(foreign.shapes().items())}
    return write(folder / "model", config, {name: packed(layer) for name, layer in layers.items()}), layers


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_weight_is_exactly_what_its_format_says(layout: str, tmp_path: Path) -> None:
    folder, layers = written(layout, tmp_path)
    checkpoint = Checkpoint.open(folder)
    assert kind_of(checkpoint) == ("int8" if "8 bits" in layout else "int4")
    model = load_model(checkpoint)
    assert len(layers) == 2 * 7
    for name, layer in layers.items():
        ours = model.get_submodule(f"language_model.{name}")
        assert isinstance(ours, IntLinear)
        assert torch.equal(ours.float_weight, layer.weight)
        half = 1 << (layer.bits - 1)
        assert ours.scheme.symmetric == bool((layer.zeros == half).all())
        assert (ours.input_order is None) == bool((layer.groups == sorted(layer.groups)).all())
        x = torch.randn(3, layer.codes.shape[1], generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(x), F.linear(x, layer.weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_group_of_256_is_two_with_one_scale_and_tiny_scales_are_kept(dtype: torch.dtype, tmp_path: Path) -> None:
    layer = chosen((64, 512), 0, 256, symmetric=True, dtype=dtype)
    if dtype == torch.bfloat16:
        layer.scales[3, 1] = 2.0**-30  # of an input that is not used: below what float16 has
    pieces = compressed(layer, symmetric=True)
    folder = write(tmp_path / "model", section(group_size=256), {"model.wide": pieces})
    found = dict(own_layout(Checkpoint.open(folder)))
    scales = found["language_model.model.wide.weight_scale"]
    assert (scales.dtype, scales.shape) == (torch.float16 if dtype == torch.float16 else torch.float32, (64, 4))
    assert torch.equal(scales.float(), layer.scales.float().repeat_interleave(2, dim=1))
    assert torch.equal(found["language_model.model.wide.weight_packed"], pieces["weight_packed"])


def test_a_quantizers_own_file_says_what_config_json_does_not(tmp_path: Path) -> None:
    """Older AutoGPTQ and AutoAWQ wrote quantize_config.json and quant_config.json alone."""
    folder, layers = written("awq", tmp_path)
    name, layer = next(iter(layers.items()))
    data = json.loads((folder / "config.json").read_text())
    del data["quantization_config"]
    (folder / "config.json").write_text(json.dumps(data))
    own = {"zero_point": True, "q_group_size": 32, "w_bit": 4, "version": "GEMM"}
    (folder / "quant_config.json").write_text(json.dumps(own))
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-32g.safetensors")
    assert main([str(folder), "--scheme", "float16", "--out", str(tmp_path / "half")]) == 0
    assert not (tmp_path / "half" / "quant_config.json").exists()
    half = Checkpoint.open(tmp_path / "half")
    assert kind_of(half) is None
    assert torch.equal(dict(half.tensors())[f"language_model.{name}.weight"], layer.weight.half())


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"quant_method": "gptq", "bits": 3}, "bits 3 is not supported; this version reads 4 or 8"),
        (GPTQ | {"checkpoint_format": "marlin"}, "checkpoint_format 'marlin' is not supported; this version reads"),
        (GPTQ | {"pack_dtype": "int16"}, "pack_dtype 'int16' is not supported"),
        (AWQ | {"version": "gemv"}, "version 'gemv' is not supported; this version reads 'gemm'"),
        (AWQ | {"zero_point": False}, "zero_point False is not supported"),
        (section(num_bits=3), "num_bits 3 is not supported"),
        (section(type="float"), "type 'float' is not supported; this version reads 'int'"),
        (section(strategy="block"), "strategy 'block' is not supported"),
        (section(dynamic=True), "dynamic True is not supported; quantize without it"),
        (section() | {"format": "int-quantized"}, "format 'int-quantized' is not supported"),
        (section() | {"kv_cache_scheme": {"num_bits": 8}}, "kv_cache_scheme .* is not supported"),
        (section() | {"transform_config": {"a": 1}}, "transform_config .* is not supported"),
        (section() | {"sparsity_config": {"format": "sparse-24-bitmask"}}, "sparsity_config .* is not supported"),
        (section() | {"config_groups": {}}, "it has no config_groups"),
        ({"quant_method": "hqq"}, "quant_method 'hqq' is not supported; this version reads compressed-tensors, gptq"),
        ({"quant_method": "gptq", "bits": [4]}, r"bits \[4\] is not supported"),
        ({"bits": 4}, r"it lacks or misnames a field \(KeyError\('quant_method'\)\)"),
    ],
)
def test_what_is_not_read_is_named(config: dict[str, Any], said: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", config, {})
    with pytest.raises(UserError, match=f"config.json: quantization_config: {said}"):
        kind_of(Checkpoint.open(folder))


def one(tmp_path: Path, pieces: dict[str, torch.Tensor], config: dict[str, Any]) -> Checkpoint:
    return Checkpoint.open(write(tmp_path / "model", config, {"model.layers.0.self_attn.q_proj": pieces}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("zero", "zero point is stored as 15, which readers of gptq read differently; save it as gptq_v2"),
        ("groups", "g_idx does not put 32 inputs into each of 2 groups"),
        ("no groups", "desc_act without a g_idx is not supported"),
        ("small groups", "groups of 16 are not supported; this version reads 32, 64, 128 and multiples of 128"),
        ("infinite", "its scales hold NaN or infinity"),
        ("lost", r"do not fit each other \('qzeros'\); copy it again"),
        ("short", r"do not fit each other \(64 outputs have scales for 62\); copy it again"),
    ],
)
def test_a_layer_that_cannot_be_held_exactly_is_named(change: str, said: str, tmp_path: Path) -> None:
    pieces = gptq(chosen((64, 64), 0, 16 if change == "small groups" else 32))
    config = GPTQ | {"desc_act": True}
    match change:
        case "zero":
            pieces["qzeros"][0, 0] |= 15
        case "groups":
            pieces["g_idx"][0] = 1
        case "no groups":
            del pieces["g_idx"]
        case "infinite":
            pieces["scales"][0, 0] = torch.inf
        case "lost":
            del pieces["qzeros"]
        case "short":
            pieces["scales"] = pieces["scales"][:, :62]
    with pytest.raises(UserError, match=rf"layers\.0\.self_attn\.q_proj.*{said}") as error:
        load_model(one(tmp_path, pieces, config))
    assert "\n" not in str(error.value)


@often
@given(st.sampled_from([GPTQ, AWQ, section()]).flatmap(changed))
def test_sections_are_read_or_refused_in_one_line(data: dict[str, Any]) -> None:
    config = replace(GOLDEN_A.config, extra={"quantization_config": data})
    read_or_refuse(lambda: kind_of(replace(GOLDEN_A, config=config)))


@pytest.mark.parametrize("layout", ["gptq", "awq", "pack-quantized"])
def test_another_tools_integers_are_not_quantized_again(
    layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says whose and which integers they are, and what can be done with them."""
    config, (folder, _) = LAYOUTS[layout][0], written(layout, tmp_path)
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"is quantized already ({config['quant_method']}, int4); export it as it is, with these very" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert main([str(folder), "--scheme", "float16", "--out", str(tmp_path / "floats")]) == 0
    assert kind_of(Checkpoint.open(tmp_path / "floats")) is None
