"""A Llama that others publish as GGUF (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), as our decoder:
sizes, float32 weights and tokenizer, SmolLM2's kind of byte-level BPE.

A BPE's merges are ranked, and its tokens lie in that order: the first so many rows of the token table with the merges
that make them are a tokenizer of their own. A small model needs no more; the table is half its weight.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, TokenType, dequantize
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.model.config import Decoder

_LAYER = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_TABLE, _HEAD = "token_embd.weight", "output.weight"


class GgufLlama:
    """An open GGUF file. Raises UserError when it is none, or no Llama with a byte-level BPE of SmolLM's kind."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._reader = GGUFReader(path)
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is no readable GGUF file ({error}); install it again") from None
        for key, wanted in (
            ("general.architecture", "llama"),
            ("tokenizer.ggml.model", "gpt2"),
            ("tokenizer.ggml.pre", "smollm"),
        ):
            if (found := self._field(key)) != wanted:
                raise UserError(f"{path}: its {key} is {found!r}; this version reads {wanted!r}")

    @property
    def config(self) -> Decoder:
        """The decoder's sizes."""
        field = partial(self._needed, prefix="llama.")
        heads, hidden = field("attention.head_count"), field("embedding_length")
        return Decoder(
            vocab_size=len(self._needed("tokenizer.ggml.tokens")),
            hidden_size=hidden,
            intermediate_size=field("feed_forward_length"),
            num_hidden_layers=field("block_count"),
            num_attention_heads=heads,
            num_key_value_heads=self._field("llama.attention.head_count_kv", heads),
            head_dim=self._field("llama.attention.key_length", hidden // heads),
            rms_norm_eps=round(field("attention.layer_norm_rms_epsilon"), 12),  # stored as float32
            rope_theta=self._field("llama.rope.freq_base", 1e4),
            max_position_embeddings=field("context_length"),
        )

    def state(self, vocab_size: int) -> dict[str, Tensor]:
        """float32 state of a LanguageModel with the first so many tokens; a tied head becomes a copy of the table.
        Raises UserError when a tensor is missing."""
        config, tensors = self.config, {tensor.name: tensor for tensor in self._reader.tensors}

        def get(name: str, rows: int | None = None) -> np.ndarray:
            if (tensor := tensors.get(name)) is None:
                raise UserError(f"{self.path}: has no tensor {name}; install it again")
            return dequantize(tensor.data[:rows], tensor.tensor_type)

        arrays = {
            "model.embed_tokens.weight": get(_TABLE, vocab_size),
            "model.norm.weight": get("output_norm.weight"),
            "lm_head.weight": get(_HEAD if _HEAD in tensors else _TABLE, vocab_size),
        }
        for layer in range(config.num_hidden_layers):
            for theirs, ours in _LAYER.items():
                weight = get(f"blk.{layer}.{theirs}.weight")
                if theirs in ("attn_q", "attn_k"):
                    weight = _halves(weight, config.head_dim)
                arrays[f"model.layers.{layer}.{ours}.weight"] = weight
        return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()}

    def write_tokenizer(self, out: Path, vocab_size: int) -> None:
        """Write tokenizer.json of the first so many tokens. Raises UserError when those do not come in merge order."""
        tokens, types = self._needed("tokenizer.ggml.tokens"), self._needed("tokenizer.ggml.token_type")
        every = [tuple(merge.split(" ")) for merge in self._needed("tokenizer.ggml.merges")]
        first = len(tokens) - len(every)
        if ["".join(merge) for merge in every] != tokens[first:] or not first <= vocab_size <= len(tokens):
            raise UserError(f"{self.path}: cannot be cut to {vocab_size} tokens: they do not lie in its merges' order")
        vocab = {token: i for i, token in enumerate(tokens[:vocab_size])}
        tokenizer = Tokenizer(BPE(vocab=vocab, merges=every[: vocab_size - first]))
        # SmolLM2's own: every digit alone, then GPT-2's words.
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        special = [token for token, kind in zip(tokens, types, strict=True) if kind == TokenType.CONTROL]
        tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special if token in vocab])
        tokenizer.save(str(out))

    def _field(self, key: str, default: Any = None) -> Any:
        field = self._reader.get_field(key)
        return default if field is None else field.contents()

    def _needed(self, key: str, prefix: str = "") -> Any:
        if (value := self._field(prefix + key)) is None:
            raise UserError(f"{self.path}: has no field {prefix}{key}; install it again")
        return value


def _halves(rows: np.ndarray, head_dim: int) -> np.ndarray:
    """Undo llama.cpp's order of the rows of queries and keys [heads * head_dim, hidden]: it turns neighbours, we turn
    i with i + head_dim / 2."""
    pairs = rows.reshape(-1, head_dim // 2, 2, rows.shape[1])
    return pairs.swapaxes(1, 2).reshape(rows.shape)
