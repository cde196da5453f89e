"""The decoder with its KV cache inside: what mobile runtimes want that keep state between calls.

Same layers and weights as pulse.model.llama; only the cache differs. It is a buffer of fixed length that each call
writes at its positions, so a host can go back to an earlier position by writing there again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pulse.model.config import Decoder
from pulse.model.llama import LanguageModel, Layer, rotary, rotate


class StatefulDecoder(nn.Module):
    """embeds [1, S, D] at positions cache_position int64 [S] -> logits float32 [1, 1, V] of the last of them.

    layers: those that it computes, by default all; without the last of the model it gives hidden states [1, S, D].

    Buffers key_I and value_I are [KV * length, head_dim], each key-value head's positions in a row: an index into the
    first dimension is the one kind of write that every converter knows. A position sees itself and those before it,
    whatever the buffers hold beyond, so the positions must be written in order but may be written again.
    """

    def __init__(self, language_model: LanguageModel, length: int, layers: range | None = None) -> None:
        super().__init__()
        backbone = language_model.model
        self.config: Decoder = backbone.config
        self.numbers, self.length = layers or range(self.config.num_hidden_layers), length
        self.layers = nn.ModuleList(backbone.layers[i] for i in self.numbers)
        self.head: nn.Sequential | None = None
        if self.numbers.stop == self.config.num_hidden_layers:
            self.head = nn.Sequential(backbone.norm, language_model.lm_head)
        heads, size = self.config.num_key_value_heads, self.config.head_dim
        # Constants, not computed in forward: a delegate would be handed a subgraph that has no inputs.
        self.places = nn.Parameter(torch.arange(length), requires_grad=False)
        self.first_rows = nn.Parameter(torch.arange(heads)[:, None] * length, requires_grad=False)
        cos, sin = rotary(self.places, size, self.config.rope_theta)
        self.cos, self.sin = nn.Parameter(cos, requires_grad=False), nn.Parameter(sin, requires_grad=False)
        shape = (heads * length, size)
        for i in self.numbers:
            self.register_buffer(f"key_{i}", torch.zeros(shape))
            self.register_buffer(f"value_{i}", torch.zeros(shape))

    def forward(self, embeds: Tensor, cache_position: Tensor) -> Tensor:
        cos, sin = self.cos[cache_position], self.sin[cache_position]
        seen = self.places[None, :] <= cache_position[:, None]
        mask = torch.where(seen, 0.0, float("-inf"))  # [S, length]
        rows = (self.first_rows + cache_position[None, :]).flatten()  # [KV * S], what is written in the buffers
        x = embeds
        for i, layer in zip(self.numbers, self.layers, strict=True):
            assert isinstance(layer, Layer)
            x = x + self._attend(i, layer, x, cos, sin, mask, rows)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return x if self.head is None else self.head(x[:, -1:]).float()

    def _attend(self, i: int, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, rows: Tensor) -> Tensor:
        attention, length = layer.self_attn, x.shape[1]
        kv_heads, size = attention.kv_heads, attention.head_dim
        groups = attention.heads // kv_heads
        x = layer.input_layernorm(x)
        query = attention.q_proj(x).view(1, length, attention.heads, size).transpose(1, 2)
        new_key = attention.k_proj(x).view(1, length, kv_heads, size).transpose(1, 2)
        new_value = attention.v_proj(x).view(1, length, kv_heads, size).transpose(1, 2)
        key, value = self.get_buffer(f"key_{i}"), self.get_buffer(f"value_{i}")
        key.index_copy_(0, rows, rotate(new_key, cos, sin).reshape(-1, size))
        value.index_copy_(0, rows, new_value.reshape(-1, size))
        key, value = (cache.view(1, kv_heads, self.length, size) for cache in (key, value))
        # The query heads that share a key-value head become rows of one product: the long cache is never repeated.
        query = rotate(query, cos, sin).reshape(1, kv_heads, groups * length, size)
        scores = (query * size**-0.5) @ key.transpose(2, 3) + mask.repeat(groups, 1)
        out = (torch.softmax(scores, dim=-1) @ value).reshape(1, attention.heads, length, size)
        return attention.o_proj(out.transpose(1, 2).reshape(1, length, -1))
