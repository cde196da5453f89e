"""The decoder for XNNPACK's programs: ExecuTorch's own attention on a cache of which only the written part is read.

export.graph.stateful reads the whole buffer at every token and masks what lies beyond: in a 7B's context of 4,096 that
is as many bytes as the weights. Here llama::update_cache writes the new positions and llama::custom_sdpa attends up to
them. Both come with ExecuTorch's language-model runners (extension/llm/custom_ops) and run on CPUs only, so the other
delegates keep the plain operators.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.config import Decoder
from pulse.model.llama import LanguageModel, Layer, RMSNorm, rotary, rotate


class CachedDecoder(nn.Module):
    """embeds [1, S, D] at consecutive positions cache_position int64 [S] -> logits float32 [1, 1, V] of the last.

    layers: those that it computes, by default all; without the last of the model it gives hidden states [1, S, D].
    Buffers key_I and value_I are float32 [1, length, KV, head_dim]. A position sees itself and those before it, so the
    positions must be written in order but may be written again.
    """

    def __init__(self, language_model: LanguageModel, length: int, layers: range | None = None) -> None:
        super().__init__()
        # Registers the two operators with torch; only this target needs it.
        from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401

        backbone = language_model.model
        self.config: Decoder = backbone.config
        self.numbers, self.length = layers or range(self.config.num_hidden_layers), length
        self.layers = nn.ModuleList(backbone.layers[i] for i in self.numbers)
        self.norm: RMSNorm | None = None
        if self.numbers.stop == self.config.num_hidden_layers:
            self.norm, self.lm_head = backbone.norm, language_model.lm_head
        size = self.config.hidden_size
        self.share = nn.Parameter(torch.full((1, size), 1 / size), requires_grad=False)
        cos, sin = rotary(torch.arange(length), self.config.head_dim, self.config.rope_theta)
        self.cos, self.sin = nn.Parameter(cos, requires_grad=False), nn.Parameter(sin, requires_grad=False)
        shape = (1, length, self.config.num_key_value_heads, self.config.head_dim)
        for i in self.numbers:
            self.register_buffer(f"key_{i}", torch.zeros(shape))
            self.register_buffer(f"value_{i}", torch.zeros(shape))

    def forward(self, embeds: Tensor, cache_position: Tensor) -> Tensor:
        start: Any = cache_position[0].item()  # a number, or the symbol of one while this is traced
        torch._check(start >= 0)
        torch._check(start + embeds.shape[1] <= self.length)
        cos, sin = self.cos[cache_position], self.sin[cache_position]
        x = embeds
        for i, layer in zip(self.numbers, self.layers, strict=True):
            assert isinstance(layer, Layer)
            x = x + self._attend(i, layer, x, cos, sin, start)
            x = x + layer.mlp(self._norm(layer.post_attention_layernorm, x))
        return x if self.norm is None else self.lm_head(self._norm(self.norm, x[:, -1:])).float()

    def _attend(self, i: int, layer: Layer, x: Tensor, cos: Tensor, sin: Tensor, start: Any) -> Tensor:
        attention, length = layer.self_attn, x.shape[1]
        x = self._norm(layer.input_layernorm, x)
        query = attention.q_proj(x).view(1, length, attention.heads, attention.head_dim)
        new_key = attention.k_proj(x).view(1, length, attention.kv_heads, attention.head_dim)
        new_value = attention.v_proj(x).view(1, length, attention.kv_heads, attention.head_dim)
        query, new_key = (rotate(each, cos[:, None], sin[:, None]) for each in (query, new_key))
        key, value = self.get_buffer(f"key_{i}"), self.get_buffer(f"value_{i}")
        torch.ops.llama.update_cache(new_key, key, start)
        torch.ops.llama.update_cache(new_value, value, start)
        out = torch.ops.llama.custom_sdpa(query, key, value, start, None, 0.0, True)
        return attention.o_proj(out.view(1, length, -1))

    def _norm(self, norm: RMSNorm, x: Tensor) -> Tensor:
        """RMSNorm with the mean as a product, which XNNPACK takes: a mean would leave it twice a layer."""
        return x * torch.rsqrt(F.linear(x * x, self.share) + norm.eps) * norm.weight
