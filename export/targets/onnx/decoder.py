"""The decoder for ONNX Runtime: its own attention operator, writing into a cache that is neither copied nor grown.

GroupQueryAttention turns the heads, appends keys and values, and attends, in one node. When past and present are bound
to the same memory it writes only the new positions, so a step costs what its weights and the positions so far cost;
joining past and new in the graph would copy the whole cache at every token.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pulse.model.config import Decoder
from pulse.model.llama import Attention, Layer, rotary
from pulse.model.llava import Llava


class CachedDecoderGraph(nn.Module):
    """embeds float32 [1, S, D], last int32 [1], total int32 [], past -> logits [1, V] of the last position, present.

    last is the position of the last of the S, total is last + 1. past and present alternate key and value by layer,
    [1, KV, capacity, head_dim] each, with room for at least `total` positions: float32, or int8 when there are
    kv_scales, [1, KV, 1, head_dim] for each of them (export.graph.kv).
    Only torch.onnx.export can run it: the attention has no computation in torch.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, model: Llava, config: Decoder, kv_scales: Sequence[Tensor] = ()) -> None:
        super().__init__()
        backbone = model.language_model.model
        self.layers, self.norm, self.lm_head = backbone.layers, backbone.norm, model.language_model.lm_head
        cos, sin = rotary(torch.arange(config.max_position_embeddings), config.head_dim, config.rope_theta)
        half = config.head_dim // 2  # the operator repeats them itself
        self.register_buffer("cos", cos[:, :half].contiguous())
        self.register_buffer("sin", sin[:, :half].contiguous())
        self.kv_scales = nn.ParameterList(nn.Parameter(scale, requires_grad=False) for scale in kv_scales)

    def forward(self, embeds: Tensor, last: Tensor, total: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        x, present = embeds, []
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            cache, scales = past[2 * k : 2 * k + 2], tuple(self.kv_scales[2 * k : 2 * k + 2])
            attended, *grown = self._attend(layer.self_attn, layer.input_layernorm(x), last, total, cache, scales)
            x = x + attended
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            present += grown
        return (self.lm_head(self.norm(x[:, -1])), *present)

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        last: Tensor,
        total: Tensor,
        cache: tuple[Tensor, ...],
        scales: tuple[Tensor, ...],
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, (key, value) = attention.q_proj(x), cache
        inputs: tuple[Tensor | None, ...] = (query, attention.k_proj(x), attention.v_proj(x), key, value, last, total)
        inputs += (self.cos, self.sin)
        attributes: dict[str, Any] = {"num_heads": attention.heads, "kv_num_heads": attention.kv_heads, "do_rotary": 1}
        if scales:
            inputs += (None, None, None, *scales)  # without positions, bias and sinks of its own
            attributes |= {"k_quant_type": "PER_CHANNEL", "v_quant_type": "PER_CHANNEL", "kv_cache_bit_width": 8}
        out, new_key, new_value = torch.onnx.ops.symbolic_multi_out(
            "com.microsoft::GroupQueryAttention",
            inputs,
            attributes,
            dtypes=(x.dtype, key.dtype, value.dtype),
            shapes=(query.shape, key.shape, value.shape),
            version=1,
        )
        return attention.o_proj(out), new_key, new_value
