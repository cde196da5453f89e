"""The 4-bit checkpoint on disk: its tensors, its config as compressed-tensors reads it, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file, save_file

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.weights import iter_tensors
from pulse.model.config import Config, Decoder
from pulse.model.towers.conv import ConvVision
from quantize.checkpoint import quantize_checkpoint
from quantize.cli import main
from quantize.integers import dequantize, quantize
from quantize.precision import Precision
from quantize.quantization_config import kind_of
from quantize.scheme import Scheme
from quantize.shards import ShardWriter
from tests.golden import GOLDEN
from tests.inference import inference_of

LAYER = "language_model.model.layers.0"
Q_PROJ = f"{LAYER}.self_attn.q_proj"
TENSORS = {
    "vision_tower.layers.0.conv.weight": (8, 1, 3, 3),
    "vision_tower.encoder.fc1.weight": (64, 64),
    "multi_modal_projector.linear_1.weight": (64, 32),
    "multi_modal_projector.linear_1.bias": (64,),
    "language_model.model.embed_tokens.weight": (100, 64),
    f"{Q_PROJ}.weight": (64, 64),
    f"{LAYER}.mlp.down_proj.weight": (64, 80),
    f"{LAYER}.input_layernorm.weight": (64,),
    "language_model.lm_head.weight": (100, 64),
}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in TENSORS.items()}


@pytest.fixture
def source(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    folder = tmp_path / "float"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(
        json.dumps(Config(ConvVision(), Decoder(), inference_of(Decoder()), name="tiny").to_json())
    )
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_linears_become_words_and_scales_and_the_rest_float16(
    source: Path, tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    out = tmp_path / "int4"
    summary = quantize_checkpoint(Checkpoint.open(source), out)
    stored = load_file(out / "model.safetensors")
    assert set(summary.quantized) == {"multi_modal_projector.linear_1", Q_PROJ}
    assert set(summary.kept) == {f"{LAYER}.mlp.down_proj"}  # 80 inputs: no multiple of 32
    for layer in summary.quantized:
        want = quantize(tensors[f"{layer}.weight"], Scheme(4, 32))
        n, k = want.codes.shape
        assert stored[f"{layer}.weight_packed"].shape == (n, k // 8)
        assert stored[f"{layer}.weight_packed"].dtype == torch.int32
        assert torch.equal(stored[f"{layer}.weight_scale"], want.scales)
        assert stored[f"{layer}.weight_shape"].dtype == torch.int64
        assert f"{layer}.weight" not in stored
    for name in set(TENSORS) - {f"{layer}.weight" for layer in summary.quantized}:
        assert torch.equal(stored[name], tensors[name].half())
    assert (out / "tokenizer.json").read_text() == "{}"
    assert summary.bytes_after < summary.bytes_before / 2


def test_compressed_tensors_reads_config_and_weights(
    source: Path, tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    out = tmp_path / "int4"
    quantize_checkpoint(Checkpoint.open(source), out, Precision("int4-g64"))
    section = Checkpoint.open(out).config.extra["quantization_config"]
    theirs = QuantizationConfig.model_validate(section)
    # What they would write back holds nothing that we left out or named differently.
    written = theirs.model_dump(mode="json")
    for key, value in section.items():
        if key != "config_groups":
            assert written[key] == value
    assert (
        written["config_groups"]["group_0"]["weights"].items() >= section["config_groups"]["group_0"]["weights"].items()
    )
    assert theirs.ignore is not None
    assert "re:.*lm_head$" in theirs.ignore
    stored = load_file(out / "model.safetensors")
    local = {key: stored[f"{Q_PROJ}.{key}"] for key in ("weight_packed", "weight_scale", "weight_shape")}
    theirs_back = PackedQuantizationCompressor.decompress(local, theirs.config_groups["group_0"])["weight"]
    ours = dequantize(quantize(tensors[f"{Q_PROJ}.weight"], Scheme(4, 64)))
    torch.testing.assert_close(theirs_back.float(), ours, rtol=1e-3, atol=1e-4)  # theirs multiplies in float16


def test_lm_head_is_quantized_when_asked(source: Path, tmp_path: Path) -> None:
    summary = quantize_checkpoint(Checkpoint.open(source), tmp_path / "int4", Precision(bits={"head": 4}))
    assert "language_model.lm_head" in summary.quantized


def test_shards_hold_the_same_tensors_and_are_indexed(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    writer = ShardWriter(tmp_path, shard_bytes=20_000)
    for name, tensor in tensors.items():
        writer.add({name: tensor})
    writer.close()
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    assert not list(tmp_path.glob("part-*"))
    back = dict(iter_tensors(tmp_path))
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("scheme", ["int4-g64", "int4-g32-asym", "int8", "nf4"])
def test_kind_is_read_back_and_foreign_schemes_are_refused(scheme: str, source: Path, tmp_path: Path) -> None:
    assert kind_of(Checkpoint.open(source)) is None
    quantize_checkpoint(Checkpoint.open(source), tmp_path / "q", Precision(scheme))
    checkpoint = Checkpoint.open(tmp_path / "q")
    assert kind_of(checkpoint) == scheme.split("-")[0]
    section = checkpoint.config.extra["quantization_config"]
    if scheme == "nf4":
        section["bnb_4bit_use_double_quant"] = True
    else:
        section["config_groups"]["group_0"]["weights"]["type"] = "float"
    with pytest.raises(UserError, match=r"quantization_config: .* is not supported; .*or give the float checkpoint to"):
        kind_of(checkpoint)


def test_a_failure_leaves_no_folder(source: Path, tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    tensors["language_model.lm_head.weight"][0, 0] = float("nan")
    save_file(tensors, source / "model.safetensors")
    with pytest.raises(UserError, match="lm_head"):
        quantize_checkpoint(Checkpoint.open(source), tmp_path / "int4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["float"]


def test_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "int4"
    assert main([str(source), "--scheme", "int4-g64", "--method", "rtn", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == str(out)
    weights = Checkpoint.open(out).config.extra["quantization_config"]["config_groups"]["group_0"]["weights"]
    assert (weights["group_size"], weights["num_bits"]) == (64, 4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("no folder", "no such folder"),
        ("hub id", "the hub does not give it"),
        ("no config", "no config.json"),
        ("no weights", "no model.safetensors"),
        ("damaged", "not a readable safetensors"),
        ("quantized", "is quantized already"),
        ("out exists", "already exists"),
        ("scheme", "invalid choice"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    change: str, reason: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, model, scheme = tmp_path / "int4", str(source), "int4-g32"
    match change:
        case "no folder":
            model = str(tmp_path / "absent")
        case "hub id":
            model = "PULSE-ECG/PULSE-7B"
        case "no config":
            (source / "config.json").unlink()
        case "no weights":
            (source / "model.safetensors").unlink()
        case "damaged":
            (source / "model.safetensors").write_bytes(b"\xff" * 100)
        case "quantized":
            quantize_checkpoint(Checkpoint.open(source), tmp_path / "once")
            model = str(tmp_path / "once")
        case "out exists":
            (out / "something").mkdir(parents=True)
        case "scheme":
            scheme = "int3"
    assert main([model, "--scheme", scheme, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert change == "out exists" or not out.exists()


@pytest.mark.parametrize("kind", ["llava", "llava_next"])
def test_the_original_layout_under_another_name_is_quantized(kind: str, tmp_path: Path) -> None:
    """LLaVA's first code wrote "llava" into config.json, and people rename it; its keys say whose layout it is."""
    shutil.copytree(GOLDEN / "a", tmp_path / "a")
    path = tmp_path / "a" / "checkpoint" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": kind}))
    quantize_checkpoint(Checkpoint.open(path.parent), tmp_path / "int4")
    assert kind_of(Checkpoint.open(tmp_path / "int4")) == "int4"
