"""The Llama decoder (Touvron et al. 2023, arXiv 2302.13971) with grouped-query attention and a functional KV cache.

Tensor names are those of Hugging Face's checkpoints. Nothing branches on data, so torch.export takes it as it is; the
cache goes in and comes out as plain tensors, which is what every mobile runtime wants.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pulse.model.config import Decoder


class RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        return (x32 * torch.rsqrt(x32.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def rotary(positions: Tensor, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """cos and sin float32 [..., head_dim] at positions [...] (Su et al. 2021, arXiv 2104.09864; halves, not pairs)."""
    inverse = 1.0 / theta ** (torch.arange(0, head_dim, 2, device=positions.device).float() / head_dim)
    angle = positions.float()[..., None] * inverse
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each head of x [B, heads, S, head_dim] by its position's angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, config: Decoder):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        hidden = config.hidden_size
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x [B, S, hidden], mask bool [S, P + S] (or [B, 1, S, P + S]; True: may look) -> output, key, value."""
        batch, length, _ = x.shape
        query = self.q_proj(x).view(batch, length, self.heads, self.head_dim).transpose(1, 2)
        key = self.k_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        value = self.v_proj(x).view(batch, length, self.kv_heads, self.head_dim).transpose(1, 2)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        groups = self.heads // self.kv_heads
        out = F.scaled_dot_product_attention(query, repeat_heads(key, groups), repeat_heads(value, groups), mask)
        return self.o_proj(out.transpose(1, 2).reshape(batch, length, -1)), key, value


def repeat_heads(x: Tensor, groups: int) -> Tensor:
    """[B, KV, S, d] -> [B, KV * groups, S, d], each key-value head beside its query heads."""
    if groups == 1:
        return x
    batch, kv_heads, length, size = x.shape
    return x[:, :, None].expand(batch, kv_heads, groups, length, size).reshape(batch, kv_heads * groups, length, size)


class Mlp(nn.Module):
    def __init__(self, config: Decoder):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Decoder):
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        attended, key, value = self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), key, value


class Backbone(nn.Module):
    def __init__(self, config: Decoder):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size + config.extra_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, embeds: Tensor, past: Sequence[Tensor] = (), positions: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """embeds [B, S, hidden] after a cache of P positions -> (hidden [B, S, hidden], present).

        past and present alternate key and value by layer, [B, KV, P or P + S, head_dim]; past may be empty. positions
        ([S] or [B, 1, S]) and mask (as in Attention) default to plain causal text; training passes its own to pack
        several questions behind one image.
        """
        length = embeds.shape[1]
        before = past[0].shape[2] if past else 0
        if positions is None:
            positions = torch.arange(before, before + length, device=embeds.device)
        if mask is None:
            mask = torch.arange(before + length, device=embeds.device)[None, :] <= positions[:, None]
        cos, sin = rotary(positions, self.config.head_dim, self.config.rope_theta)
        x, present = embeds, []
        for k, layer in enumerate(self.layers):
            x, key, value = layer(x, cos, sin, mask, (past[2 * k], past[2 * k + 1]) if past else None)
            present += [key, value]
        return self.norm(x), present


class LanguageModel(nn.Module):
    def __init__(self, config: Decoder):
        super().__init__()
        self.model = Backbone(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, embeds: Tensor, past: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """embeds [B, S, hidden], cache -> (logits float32 [B, V] of the last position, present)."""
        hidden, present = self.model(embeds, past)
        return self.lm_head(hidden[:, -1]).float(), present
