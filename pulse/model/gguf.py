"""A Llama in a GGUF file, as llama.cpp's users pass models on: its sizes, its weights in float32, its tokenizer.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Quantized blocks are dequantized by the gguf package; rows of
queries and keys go back to the order that transformers and this project have (export.gguf_tensors.paired turns them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.model.config import Decoder

_TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
# Our module of a layer -> its name in GGUF.
LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_CONTROL = 3  # a token's type: it stands for no text
# By tokenizer.ggml.pre: what cuts a text before pairs of bytes are merged. SmolLM's digits stand alone.
_CUTS = {"smollm": [pre_tokenizers.Digits(individual_digits=True)], "gpt-2": []}


def read_decoder(path: Path, context: int | None = None) -> tuple[Decoder, dict[str, Tensor]]:
    """Sizes, and the state of a pulse.model.llama.LanguageModel in float32.

    context: positions that the model is used for, where that is less than it can. Where the head is the token table,
    both get it. Raises UserError when the gguf package is missing, or the file is no GGUF of a Llama.
    """
    reader = _reader(path)
    fields = _fields(reader)
    if fields.get("general.architecture") != "llama":
        raise UserError(f"{path}: holds a {fields.get('general.architecture')}, not a llama; give another file")
    from gguf import dequantize

    stored = {tensor.name: tensor for tensor in reader.tensors}
    try:
        heads, hidden = fields["llama.attention.head_count"], fields["llama.embedding_length"]
        text = Decoder(
            vocab_size=int(stored["token_embd.weight"].shape[1]),
            hidden_size=hidden,
            intermediate_size=fields["llama.feed_forward_length"],
            num_hidden_layers=fields["llama.block_count"],
            num_attention_heads=heads,
            num_key_value_heads=fields.get("llama.attention.head_count_kv", heads),
            head_dim=fields.get("llama.attention.key_length", hidden // heads),
            rms_norm_eps=float(fields["llama.attention.layer_norm_rms_epsilon"]),
            rope_theta=float(fields.get("llama.rope.freq_base", 10000.0)),
            max_position_embeddings=min(context or 1 << 30, fields["llama.context_length"]),
        )
        paired = {"attn_q": text.num_attention_heads, "attn_k": text.num_key_value_heads}

        def weight(name: str) -> Tensor:
            rows = dequantize(stored[name].data, stored[name].tensor_type).astype(np.float32)
            return torch.from_numpy(unpaired(rows, paired.get(name.split(".")[-2], 0)))

        tied = "output.weight" not in stored
        state = {
            f"{ours}.weight": weight(f"{'token_embd' if tied and ours == 'lm_head' else theirs}.weight")
            for ours, theirs in _TOP.items()
        }
        for k in range(text.num_hidden_layers):
            for ours, theirs in LAYER.items():
                state[f"model.layers.{k}.{ours}.weight"] = weight(f"blk.{k}.{theirs}.weight")
    except KeyError as error:
        raise UserError(f"{path}: lacks {error}; download it again") from None
    return text, state


def unpaired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows [heads * head_dim, ...] of which i and i + head_dim / 2 of each head lie side by side, put apart again;
    heads 0: unchanged."""
    if not heads:
        return rows
    pairs = rows.reshape(heads, len(rows) // heads // 2, 2, -1)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows.shape))


def write_bpe_tokenizer(path: Path, out: Path) -> None:
    """Write the tokenizer.json of a GGUF whose tokens are merged pairs of bytes (GPT-2's way).

    Raises UserError for one of another kind.
    """
    fields = _fields(_reader(path))
    kind, cut = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2" or cut not in _CUTS:
        raise UserError(
            f"{path}: its tokenizer is {kind} with {cut}; only byte pairs with {' or '.join(_CUTS)} are read"
        )
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*_CUTS[cut], pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    tokenizer.save(str(out))


def _reader(path: Path) -> Any:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise UserError("reading GGUF needs gguf; pip install pulse-edge[train]") from None
    try:
        return GGUFReader(path)
    except (ValueError, OSError, IndexError, KeyError) as error:
        raise UserError(f"{path}: cannot be read as GGUF ({error}); download it again") from None


def _fields(reader: Any) -> dict[str, Any]:
    return {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
