"""The decoder for Hexagon: every size fixed, a window of keys and values, and a mask of finite numbers.

Hexagon's compiler takes fixed shapes alone, so one graph reads a prompt in chunks and another writes one token, as
Qualcomm's own language models do (their prompt processor and token generator, "AR-128" and "AR-1":
https://github.com/qualcomm/ai-hub-models). Keys and values stay with the host: a graph gets those that it may look at
and returns the new ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pulse.model.config import Decoder
from pulse.model.llama import Attention, Layer, rotary, rotate
from pulse.model.llava import Llava


class WindowDecoderGraph(nn.Module):
    """embeds float32 [1, S, D], positions int32 [S], last int32 [1], mask float32 [S, W + S], past -> logits [1, V] of
    the row `last` of the S, and the S new keys and values.

    past and new alternate key and value by layer, float32 [1, KV, W, head_dim] and [1, KV, S, head_dim]. mask is added
    to the scores: 0 where a row may look, edge_runtime.engines.qnn.MASKED elsewhere; minus infinity would become NaN in
    a row that sees nothing, and the operators that guard against it are not Hexagon's.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, model: Llava, config: Decoder) -> None:
        super().__init__()
        backbone = model.language_model.model
        self.layers, self.norm, self.lm_head = backbone.layers, backbone.norm, model.language_model.lm_head
        cos, sin = rotary(torch.arange(config.max_position_embeddings), config.head_dim, config.rope_theta)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(
        self, embeds: Tensor, positions: Tensor, last: Tensor, mask: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        cos, sin = self.cos.index_select(0, positions), self.sin.index_select(0, positions)
        x, new = embeds, []
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            seen = past[2 * k], past[2 * k + 1]
            attended, *grown = self._attend(layer.self_attn, layer.input_layernorm(x), cos, sin, mask, *seen)
            x = x + attended
            x = x + layer.mlp(layer.post_attention_layernorm(x))
            new += grown
        return (self.lm_head(self.norm(x.index_select(1, last)))[:, 0], *new)

    def _attend(
        self,
        attention: Attention,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        past_key: Tensor,
        past_value: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        length, kv_heads, size = x.shape[1], attention.kv_heads, attention.head_dim
        groups = attention.heads // kv_heads

        def heads(projected: Tensor, count: int) -> Tensor:
            return projected.view(1, length, count, size).transpose(1, 2)

        query = rotate(heads(attention.q_proj(x), attention.heads), cos, sin)
        key = rotate(heads(attention.k_proj(x), kv_heads), cos, sin)
        value = heads(attention.v_proj(x), kv_heads)
        # The query heads that share a key-value head are rows of one product: the window is never repeated.
        query = query.reshape(1, kv_heads, groups * length, size) * size**-0.5
        scores = query @ torch.cat([past_key, key], 2).transpose(2, 3) + mask.repeat(groups, 1)
        out = torch.softmax(scores, dim=-1) @ torch.cat([past_value, value], 2)
        out = out.reshape(1, attention.heads, length, size).transpose(1, 2).reshape(1, length, -1)
        return attention.o_proj(out), key, value
