"""The model family against independent implementations: transformers' Llama and CLIP, and a hand-rolled loop."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.store import save_checkpoint
from pulse.model.config import Config, Decoder
from pulse.model.llama import LanguageModel
from pulse.model.llava import Llava
from pulse.model.towers._clip_net import ClipTower
from pulse.model.towers._conv_net import ConvTower, deepen, fold_norms, unfold_norms
from pulse.model.towers.clip import ClipVision
from pulse.model.towers.conv import ConvVision
from quantize.load import load_model
from tests.inference import inference_of

TEXT = Decoder(
    vocab_size=97, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=8,
    num_key_value_heads=2, head_dim=8, rope_theta=5000.0, max_position_embeddings=64,
)  # fmt: skip
VISION = ConvVision(height=64, width=96, channels=(8, 16), blocks=(0, 1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_llama_equals_transformers_with_grouped_queries() -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=97,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=8,
            num_key_value_heads=2,
            head_dim=8,
            rope_theta=5000.0,
            rms_norm_eps=1e-5,
            tie_word_embeddings=False,
        )
    ).eval()
    ours = LanguageModel(TEXT).eval()
    ours.load_state_dict(theirs.state_dict())
    ids = torch.randint(0, 97, (2, 17))
    with torch.no_grad():
        logits, _ = ours(ours.model.embed_tokens(ids))
        torch.testing.assert_close(logits, theirs(ids).logits[:, -1], atol=1e-5, rtol=1e-5)


def test_clip_equals_transformers_at_llavas_layer() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "patch_size": 8,
    }
    theirs = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(image_size=40, **sizes)).eval()
    ours = ClipTower(ClipVision(height=40, width=40, **sizes)).eval()
    kept = {k: v for k, v in theirs.state_dict().items() if k in ours.state_dict()}
    ours.load_state_dict(kept)
    pixels = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        hidden = theirs(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        torch.testing.assert_close(ours(pixels), hidden, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cuts", [[1] * 12, [5, 7], [11, 1]])
def test_cache_in_pieces_equals_one_pass(cuts: list[int]) -> None:
    model = LanguageModel(TEXT).eval()
    embeds = torch.randn(1, 12, 64)
    with torch.no_grad():
        whole, _ = model(embeds)
        past: list[torch.Tensor] = []
        at = 0
        for cut in cuts:
            logits, past = model(embeds[:, at : at + cut], past)
            at += cut
    torch.testing.assert_close(logits, whole, atol=1e-5, rtol=1e-5)
    assert past[0].shape == (1, 2, 12, 8)


def test_packed_questions_see_the_image_and_themselves_alone() -> None:
    """Training packs questions behind one image; each must get what it would get alone behind that image."""
    model = LanguageModel(TEXT).eval()
    image, first, second = torch.randn(1, 6, 64), torch.randn(1, 4, 64), torch.randn(1, 5, 64)
    segment = torch.tensor([0] * 6 + [1] * 4 + [2] * 5)
    positions = torch.cat([torch.arange(6), torch.arange(6, 10), torch.arange(6, 11)])
    order = torch.arange(15)
    mask = (order[None] <= order[:, None]) & ((segment[None] == 0) | (segment[None] == segment[:, None]))
    with torch.no_grad():
        packed, _ = model.model(torch.cat([image, first, second], 1), positions=positions, mask=mask)
        alone, _ = model.model(torch.cat([image, second], 1))
    torch.testing.assert_close(packed[:, 10:], alone[:, 6:], atol=1e-5, rtol=1e-5)


def test_folded_and_unfolded_norms_change_nothing() -> None:
    trained_config = ConvVision(height=64, width=96, channels=(8, 16), blocks=(1, 1), batch_norm=True)
    trained = ConvTower(trained_config)
    for _ in range(5):
        trained(torch.randn(4, 1, 64, 96) * 2 + 1)
    plain_config = ConvVision(height=64, width=96, channels=(8, 16), blocks=(1, 1))
    plain = ConvTower(plain_config)
    plain.load_state_dict(fold_norms(trained))
    pixels = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        tokens = plain.eval()(pixels)
        torch.testing.assert_close(tokens, trained.eval()(pixels), atol=1e-5, rtol=1e-5)
        again = ConvTower(trained_config)
        unfold_norms(again, fold_norms(trained), torch.randn(8, 1, 64, 96))
        torch.testing.assert_close(again.eval()(pixels), tokens, atol=1e-5, rtol=1e-5)
        other = torch.randn(64, 1, 64, 96)  # and training goes on from there: a batch's own statistics are close
        assert (again.train()(other) - plain(other)).norm() < 0.1 * plain(other).norm()
    rows, columns = plain_config.grid
    assert tokens.shape == (2, 1 + rows * columns, 16)


def test_a_deepened_tower_computes_the_same_and_can_learn_otherwise() -> None:
    shallow, deep = (
        ConvTower(ConvVision(height=64, width=96, channels=(4, 8, 8), blocks=blocks, batch_norm=True))
        for blocks in ((1, 0, 1), (1, 1, 2))
    )
    shallow(torch.randn(4, 1, 64, 96) * 2 + 1)
    deepen(deep, (1, 1, 2), shallow.state_dict(), (1, 0, 1))
    pixels = torch.randn(2, 1, 64, 96)
    torch.testing.assert_close(deep.eval()(pixels), shallow.eval()(pixels))
    deep(pixels).square().sum().backward()
    scales = [value.grad for name, value in deep.named_parameters() if name.endswith("conv2.norm.weight")]
    assert len(scales) == 4
    assert all(scale.abs().sum() > 0 for scale in scales)


def test_checkpoint_round_trip_and_faults(tmp_path) -> None:
    model = Llava(Config(VISION, TEXT, inference_of(TEXT), name="tiny"))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_checkpoint(tmp_path / "model", model.config, model.state_dict(), tmp_path / "tokenizer.json")
    again = load_model(Checkpoint.open(tmp_path / "model"))
    assert again.config == model.config
    torch.testing.assert_close(
        again.features(torch.ones(1, 1, 64, 96)), model.features(torch.ones(1, 1, 64, 96)), atol=2e-2, rtol=2e-2
    )
    state = again.state_dict()
    del state["language_model.lm_head.weight"]
    state["stray"] = torch.zeros(1)
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(UserError, match=r"missing: language_model\.lm_head\.weight; unknown: stray"):
        load_model(Checkpoint.open(tmp_path / "model"))


def test_config_of_another_model_is_refused(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="'bert'"):
        Checkpoint.open(tmp_path)


def test_the_inference_section_of_version_0_1_is_read_by_its_old_name(tmp_path: Path) -> None:
    data = Config(VISION, TEXT, inference_of(TEXT), name="tiny").to_json()
    (tmp_path / "config.json").write_text(json.dumps(data))
    new = Checkpoint.open(tmp_path).config
    data["runtime"] = data.pop("inference")
    (tmp_path / "config.json").write_text(json.dumps(data))
    assert Checkpoint.open(tmp_path).config == new
    assert "runtime" not in new.to_json()
