"""The quantized checkpoint in transformers: loaded through compressed-tensors or bitsandbytes, and the same logits."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file, save_file

from pulse.checkpoint.checkpoint import Checkpoint
from quantize.checkpoint import quantize_checkpoint
from quantize.load import load_model, quantize_model
from quantize.precision import PARTS, SCHEMES, Precision
from quantize.quantization_config import section_of

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    text = transformers.LlamaConfig(
        vocab_size=104,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=28,
        patch_size=14,
        projection_dim=32,
    )
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=99)
    model = transformers.LlavaForConditionalGeneration(config).half()
    folder = tmp_path_factory.mktemp("hf") / "llava"
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "precision",
    [
        Precision(),
        Precision("int4-g64", {"vision": 8, "head": 4}),
        Precision("int8", {"projector": 16}),
        pytest.param(
            Precision("int4-g32-asym"),
            marks=pytest.mark.xfail(
                raises=RuntimeError,
                reason="compressed-tensors 0.20 makes room for zero points that are not packed; 0.15 reads these",
            ),
        ),
    ],
    ids=lambda precision: precision.scheme,
)
def test_compressed_tensors_gives_our_logits(precision: Precision, source: Path, tmp_path: Path) -> None:
    summary = quantize_checkpoint(Checkpoint.open(source), tmp_path / "q", precision)
    assert len(summary.quantized) >= 2 * 7
    ours = transformers.LlavaForConditionalGeneration.from_pretrained(source, dtype=torch.float32).eval()
    theirs = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "q", dtype=torch.float32).eval()
    ids, pixels = torch.tensor([[1, 99, 99, 99, 99, 5, 7, 11]]), torch.randn(1, 3, 28, 28)
    with torch.no_grad():
        exact = ours(input_ids=ids, pixel_values=pixels).logits
        got = theirs(input_ids=ids, pixel_values=pixels).logits
        _quantize_named_as_checkpoint(ours, precision)
        want = ours(input_ids=ids, pixel_values=pixels).logits
    torch.testing.assert_close(got, want, atol=2e-3, rtol=2e-3)
    assert (want - exact).norm() > 5e-3 * exact.norm()


def _quantize_named_as_checkpoint(model: torch.nn.Module, precision: Precision) -> None:
    """transformers names modules otherwise than its checkpoints do; quantize by the checkpoint's names."""
    named = torch.nn.ModuleDict()
    named["vision_tower"] = model.model.vision_tower
    named["multi_modal_projector"] = model.model.multi_modal_projector
    named["language_model"] = torch.nn.ModuleDict({"model": model.model.language_model, "lm_head": model.lm_head})
    quantize_model(named, precision)
    model.lm_head = named["language_model"]["lm_head"]


EVERY = [
    Precision(scheme, {"projector": bits, "head": bits, "vision": 8, "embeddings": 8})
    for scheme in SCHEMES
    if scheme != "nf4"
    for bits in (4, 8)
]


@pytest.mark.parametrize("precision", EVERY, ids=lambda each: f"{each.scheme}, head {each.bits['head']}")
def test_the_section_keeps_to_the_schema_of_compressed_tensors(precision: Precision) -> None:
    """vLLM parses each group's weights by these classes, and finds layers by the rules below."""
    section = section_of(precision, ["language_model.model.layers.1.mlp.down_proj"])
    theirs = QuantizationConfig.model_validate(section)
    assert (theirs.format, theirs.quantization_status) == ("pack-quantized", "compressed")
    for group in theirs.config_groups.values():
        assert group.input_activations is None
        assert (group.weights.num_bits, group.weights.dynamic) in ((4, False), (8, False))
        assert group.weights.strategy == ("channel" if group.weights.group_size is None else "group")
    assert found_by_vllm("language_model.model.layers.1.mlp.down_proj", theirs) is None
    for part, name in NAMED_BY_VLLM.items():
        want, got = precision.of_part(part), found_by_vllm(name, theirs)
        assert (got.num_bits, got.group_size, got.symmetric) == (want.bits, want.group_size, want.symmetric)


# It joins some layers, and names the head's module otherwise.
NAMED_BY_VLLM = {
    "decoder": "language_model.model.layers.0.self_attn.qkv_proj",
    "projector": "multi_modal_projector.linear_1",
    "vision": "vision_tower.vision_model.encoder.layers.0.mlp.fc1",
    "embeddings": "language_model.model.embed_tokens",
    "head": "language_model.lm_head",
}
assert NAMED_BY_VLLM.keys() == PARTS.keys()


def found_by_vllm(name: str, config: QuantizationConfig) -> object:
    """The weights' arguments for a layer, None where it is ignored; patterns match from the name's start, as there."""

    def fits(patterns: list[str]) -> bool:
        return any(re.match(pattern.removeprefix("re:"), name) for pattern in patterns)

    if fits(config.ignore):
        return None
    (found,) = [group.weights for group in config.config_groups.values() if fits(group.targets)]
    return found


def test_the_names_of_transformers_5_are_read(source: Path, tmp_path: Path) -> None:
    """It leaves "vision_model" out, and of a tower alone every prefix."""
    shutil.copytree(source, tmp_path / "five")
    tensors = {name.replace("vision_model.", ""): t for name, t in load_file(source / "model.safetensors").items()}
    assert "vision_tower.embeddings.class_embedding" in tensors
    save_file(tensors, tmp_path / "five" / "model.safetensors")
    four, five = (Checkpoint.open(folder) for folder in (source, tmp_path / "five"))
    ours, theirs = load_model(four).state_dict(), load_model(five).state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    quantize_checkpoint(five, tmp_path / "q")  # by the names that both read
    assert {name for name in load_file(tmp_path / "q" / "model.safetensors") if "vision" in name} == {
        name for name in load_file(source / "model.safetensors") if "vision" in name
    }
    alone = "encoder.layers.0.mlp.fc1.weight"
    assert five.published is not None
    assert five.published.name_of(alone) == f"vision_tower.vision_model.{alone}"


def test_a_token_table_that_image_newline_belongs_to_stays_float16(source: Path, tmp_path: Path) -> None:
    """In LLaVA-NeXT's layout the row lies apart from the table, so no integers could be joined with it."""
    shutil.copytree(source, tmp_path / "next")
    config = json.loads((source / "config.json").read_text())
    (tmp_path / "next" / "config.json").write_text(json.dumps({**config, "model_type": "llava_next"}))
    tensors = load_file(source / "model.safetensors")
    save_file({**tensors, "image_newline": torch.ones(64).half()}, tmp_path / "next" / "model.safetensors")
    summary = quantize_checkpoint(
        Checkpoint.open(tmp_path / "next"), tmp_path / "q", Precision(bits={"embeddings": 8, "head": 8})
    )
    assert summary.kept == ("language_model.model.embed_tokens",)
    assert "language_model.lm_head" in summary.quantized
    assert load_model(Checkpoint.open(tmp_path / "q")).language_model.model.embed_tokens.weight.shape == (105, 64)
