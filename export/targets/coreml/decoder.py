"""The decoder as Core ML wants it: keys and values in states, lengths taken from the inputs' shapes alone.

The same layers as pulse.model.llama and the same mathematics, arranged anew: Core ML plans memory from input shapes, so
the positions follow from the mask's; and a state must be written in place, which a cache that grows cannot be.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.llama import Layer, rotary, rotate
from pulse.model.llava import Llava


class StatefulDecoder(nn.Module):
    """Layers `layers` of the decoder, and the head if the last is among them.

    States: key_i and value_i float16 [1, KV, context, head_dim] of each layer i, positions filled from 0.
    """

    def __init__(self, model: Llava, layers: range) -> None:
        super().__init__()
        text, backbone = model.config.text, model.language_model.model
        self.numbers = layers
        self.layers = nn.ModuleList(backbone.layers[i] for i in layers)
        self.head: nn.Module | None = None
        if layers.stop == text.num_hidden_layers:
            self.norm, self.head = backbone.norm, model.language_model.lm_head
        # A table, because float16 cannot hold the angle of position 1,000 but its sine and cosine well.
        cos, sin = rotary(torch.arange(text.max_position_embeddings), text.head_dim, text.rope_theta)
        self.cos, self.sin = nn.Parameter(cos, False), nn.Parameter(sin, False)  # [context, head_dim]
        state = torch.zeros(1, text.num_key_value_heads, text.max_position_embeddings, text.head_dim).half()
        for i in layers:
            self.register_buffer(f"key_{i}", state.clone())
            self.register_buffer(f"value_{i}", state.clone())

    def forward(self, embeds: Tensor, mask: Tensor) -> Tensor:
        """embeds [1, S, D], mask [1, 1, S, E] (0: may look, very negative: may not) -> hidden [1, S, D] or logits.

        The S positions are the last of E. With the head, logits [1, V] of the last position.
        """
        end = mask.shape[-1]
        begin = end - embeds.shape[1]
        cos, sin = self.cos[begin:end], self.sin[begin:end]
        x = embeds
        for i, layer in zip(self.numbers, self.layers, strict=True):
            assert isinstance(layer, Layer)
            attention = layer.self_attn
            y = layer.input_layernorm(x)
            key, value = heads(attention.k_proj(y), attention.kv_heads), heads(attention.v_proj(y), attention.kv_heads)
            key = self._update(f"key_{i}", rotate(key, cos, sin), begin, end)
            value = self._update(f"value_{i}", value, begin, end)
            query = rotate(heads(attention.q_proj(y), attention.heads), cos, sin)
            x = x + attention.o_proj(grouped_attention(query, key, value, mask))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        if self.head is None:
            return x
        hidden = self.norm(x[:, -1])
        # A head that was left in float16 computes in it; one of integers has codes and no weight.
        return self.head(hidden.to(getattr(self.head, "weight", hidden).dtype)).to(x.dtype)

    def _update(self, name: str, new: Tensor, begin: int, end: int) -> Tensor:
        """Write new [1, KV, S, d] to positions begin..end of a state; return its positions 0..end."""
        state = self.get_buffer(name)
        state.copy_(torch.slice_scatter(state, new.half(), 2, begin, end))
        return state[:, :, :end].to(new.dtype)


def heads(x: Tensor, count: int) -> Tensor:
    """[1, S, count * d] -> [1, count, S, d] by split and stack.

    view and transpose would do the same, but packages in which they feed a state have failed to load on devices:
    https://github.com/apple/coremltools/issues/2278
    """
    return torch.stack(x.split(x.shape[-1] // count, dim=-1), dim=1)


def grouped_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245) without copying keys and values.

    query [1, heads, S, d], key and value [1, KV, E, d], mask [1, 1, S, E] -> [1, S, heads * d]. The query heads of one
    key-value head follow each other as rows, so its keys serve them all.
    """
    _, count, length, size = query.shape
    kv_heads = key.shape[1]
    groups = count // kv_heads
    rows = query.reshape(1, kv_heads, groups * length, size)
    out = F.scaled_dot_product_attention(rows, key, value, torch.cat([mask] * groups, dim=2))
    return out.reshape(1, count, length, size).transpose(1, 2).reshape(1, length, count * size)
