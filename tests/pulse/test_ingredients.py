"""What the student small begins with: a Llama and its tokenizer out of GGUF, an EfficientNet out of ImageNet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge_runtime.errors import UserError
from edge_runtime.tokenizer import Tokenizer
from pulse.model.checkpoint import load_checkpoint, save_checkpoint
from pulse.model.config import Config, Decoder, EfficientVision
from pulse.model.conv import fold_norms
from pulse.model.efficientnet import EfficientTower, from_imagenet
from pulse.model.gguf import read_decoder, unpaired, write_bpe_tokenizer
from pulse.model.llama import LanguageModel
from pulse.model.llava import Llava, tower_of

gguf = pytest.importorskip("gguf")
VISION = EfficientVision(
    height=64, width=96, stem=8, stages=((1, 3, 1, 1, 8), (2, 5, 2, 6, 12), (1, 3, 2, 6, 16)), pool=3, batch_norm=True
)
TEXT = Decoder(
    vocab_size=262,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    rope_theta=1e5,
    max_position_embeddings=256,
)
WORDS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_gguf(path: Path, text: Decoder, state: dict[str, Tensor], tied: bool = True, **other: object) -> list[str]:
    """A GGUF of random weights as llama.cpp's converter writes SmolLM2; returns its tokens."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*WORDS, *letters, "he", "hell", "ll"]
    writer = gguf.GGUFWriter(path, str(other.get("architecture", "llama")))
    writer.add_embedding_length(text.hidden_size)
    writer.add_feed_forward_length(text.intermediate_size)
    writer.add_block_count(text.num_hidden_layers)
    writer.add_head_count(text.num_attention_heads)
    writer.add_head_count_kv(text.num_key_value_heads)
    writer.add_layer_norm_rms_eps(text.rms_norm_eps)
    writer.add_rope_freq_base(text.rope_theta)
    writer.add_context_length(8192)
    writer.add_tokenizer_model(str(other.get("tokenizer", "gpt2")))
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(WORDS) + [1] * (len(tokens) - len(WORDS)))
    writer.add_token_merges(["h e", "l l", "he ll"])
    names = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
    parts = {
        "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
        "up_proj": "ffn_up", "down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, value in state.items():
        *_, module, _ = name.split(".")
        rows = value.numpy()
        if module in ("q_proj", "k_proj"):  # pairs that turn together lie side by side there
            heads = text.num_attention_heads if module == "q_proj" else text.num_key_value_heads
            rows = rows.reshape(heads, 2, text.head_dim // 2, -1).swapaxes(1, 2).reshape(rows.shape)
        if module in parts:
            writer.add_tensor(f"blk.{name.split('.')[2]}.{parts[module]}.weight", np.ascontiguousarray(rows))
        elif module != "lm_head" or not tied:
            writer.add_tensor(f"{names[module]}.weight", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tokens


def random_decoder(text: Decoder, tied: bool) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model = LanguageModel(text)
    if tied:
        model.lm_head.weight = nn.Parameter(model.model.embed_tokens.weight.detach().clone())
    return {name: value.detach() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("tied", [True, False])
def test_a_decoder_comes_out_of_gguf_as_it_went_in(tmp_path: Path, tied: bool) -> None:
    state = random_decoder(TEXT, tied)
    write_gguf(tmp_path / "a.gguf", TEXT, state, tied)
    text, found = read_decoder(tmp_path / "a.gguf", 256)
    assert text == Decoder(**{**vars(TEXT), "rms_norm_eps": float(np.float32(1e-5))})
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


def test_quantized_blocks_are_dequantized(tmp_path: Path) -> None:
    """Q8_0 by its definition: 32 codes and a float16 scale."""
    rows = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    packed = gguf.quantize(rows, gguf.GGMLQuantizationType.Q8_0)
    scale = np.abs(rows.reshape(4, 2, 32)).max(2) / 127
    assert np.abs(gguf.dequantize(packed, gguf.GGMLQuantizationType.Q8_0) - rows).max() <= scale.max() * 0.51


def test_unpaired_undoes_what_llama_cpp_wants() -> None:
    rows = np.arange(8)[:, None]  # two heads of four
    assert unpaired(np.array([0, 2, 1, 3, 4, 6, 5, 7])[:, None], 2).tolist() == rows.tolist()
    assert unpaired(rows, 0) is rows


def test_the_tokenizer_comes_with_it(tmp_path: Path) -> None:
    tokens = write_gguf(tmp_path / "a.gguf", TEXT, random_decoder(TEXT, True))
    write_bpe_tokenizer(tmp_path / "a.gguf", tmp_path / "tokenizer.json")
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.vocab_size == len(tokens)
    ids = tokenizer.encode("<|im_start|>hello 12<|im_end|>")
    assert [tokens[i] for i in ids] == ["<|im_start|>", "hell", "o", "Ġ", "1", "2", "<|im_end|>"]
    assert tokenizer.decode(ids) == "hello 12"
    for text in ("ST-Hebung 0,2 mV – größer", "心電図", ""):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_another_kind_of_model_or_tokenizer_is_refused(tmp_path: Path) -> None:
    state = random_decoder(TEXT, True)
    write_gguf(tmp_path / "a.gguf", TEXT, state, architecture="mamba")
    with pytest.raises(UserError, match="holds a mamba"):
        read_decoder(tmp_path / "a.gguf")
    write_gguf(tmp_path / "b.gguf", TEXT, state, tokenizer="llama")
    with pytest.raises(UserError, match="its tokenizer is llama"):
        write_bpe_tokenizer(tmp_path / "b.gguf", tmp_path / "tokenizer.json")


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(3))
    with pytest.raises(UserError, match="cannot be read as GGUF"):
        read_decoder(tmp_path / "a.gguf")


def imagenet(tower: EfficientTower, channels: int) -> dict[str, Tensor]:
    """Random weights by the names of the published file, head and classes too."""
    parts = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1")}
    parts["project"] = ("_project_conv", "_bn2")
    found: dict[str, Tensor] = {"_fc.weight": torch.zeros(10, 16), "_conv_head.weight": torch.zeros(16, 16, 1, 1)}
    for name, value in tower.state_dict().items():
        where, last = name.rsplit(".", 1)
        norm = where.endswith(".norm")
        if where.startswith("stem"):
            theirs, shape = ("_bn0" if norm else "_conv_stem"), list(value.shape)
            shape[1:2] = [] if norm else [channels]
        else:
            _, number, part, _ = where.split(".")
            theirs, shape = f"_blocks.{number}.{parts[part][norm]}", list(value.shape)
        random = torch.rand(shape) + 0.5 if norm else torch.randn(shape) * 0.3
        found[f"{theirs}.{last}"] = random if value.is_floating_point() else value
    return found


def test_a_grey_page_is_seen_as_the_same_page_in_colour() -> None:
    torch.manual_seed(0)
    colour = tower_of(EfficientVision(**{**vars(VISION), "in_channels": 3})).eval()
    grey = tower_of(VISION).eval()
    weights = imagenet(colour, 3)
    from_imagenet(colour, weights)
    from_imagenet(grey, weights)
    page = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        tokens = grey(page)
        torch.testing.assert_close(tokens, colour(page.expand(2, 3, 64, 96)), atol=1e-3, rtol=1e-3)
    rows, columns = VISION.grid
    assert tokens.shape == (2, 1 + rows * columns, VISION.hidden_size)
    assert tokens[:, 1:].std() > 0
    del weights["_blocks.1._bn1.bias"]
    with pytest.raises(KeyError, match=r"_blocks\.1\._bn1\.bias"):
        from_imagenet(grey, weights)


def test_folded_it_computes_the_same_and_survives_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = tower_of(VISION)
    for _ in range(3):
        trained(torch.randn(4, 1, 64, 96))
    config = Config(EfficientVision(**{**vars(VISION), "batch_norm": False}), TEXT, {}, "tiny")
    model = Llava(config)
    state = {**model.state_dict(), **{f"vision_tower.{k}": v for k, v in fold_norms(trained).items()}}
    (tmp_path / "tokenizer.json").write_text("{}")
    save_checkpoint(tmp_path / "model", config, state, tmp_path / "tokenizer.json")
    again = load_checkpoint(tmp_path / "model")
    assert again.config == config
    assert json.loads((tmp_path / "model" / "config.json").read_text())["vision_config"]["kind"] == "efficientnet-lite"
    page = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        wanted = trained.eval()(page)
        torch.testing.assert_close(again.vision_tower(page), wanted, atol=0.02 * float(wanted.abs().max()), rtol=0.02)
