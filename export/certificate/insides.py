"""A decoder's own numbers on the way through its layers, each held against torch by itself.

A bundle that rounds activations, and torch that rounds so too, drift apart by whole rounding steps within a few layers,
as any two processors do. So torch is given the bundle's own inputs at every product and attention, and only what one
step makes of them is compared: no difference adds up, whatever the depth, and the worst one has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.certificate.arithmetic import Arithmetic
from export.certificate.rounding import rounding
from export.graph.parts import forget, widen
from pulse.files.memory import release_mapped
from pulse.model.llama import Attention, Layer, repeat_heads, rotary, rotate
from pulse.model.llava import Llava
from quantize.layers import IntLinear


@dataclass(frozen=True)
class Insides:
    """What a decoder computed of embeds float32 [S, D], which follow P positions that it had read before.

    products: inputs [S, K] and outputs [S, N] of integer products (the head's of the last position alone, [1, ...]), by
    their names in the model. attended: inputs of o_proj [S, heads * head_dim] by layer. kept: keys and values as they
    lie in the cache [1, KV, P + S, head_dim], alternating by layer; scales: what to multiply them with where they are
    int8. logits: float32 [1, V].
    """

    embeds: np.ndarray
    products: Mapping[str, tuple[np.ndarray, np.ndarray]]
    attended: Mapping[int, np.ndarray]
    kept: tuple[np.ndarray, ...]
    logits: np.ndarray
    scales: tuple[np.ndarray, ...] = ()


@dataclass
class _Follower:
    """Compares step by step; errors: by place, in the order of the data."""

    insides: Insides
    arithmetic: Arithmetic
    errors: dict[str, float] = field(default_factory=dict)

    def watch(self, name: str, module: nn.Module) -> None:
        """Hand `module` the bundle's inputs, and what follows it the bundle's outputs."""
        if not isinstance(module, IntLinear) or name not in self.insides.products:
            return
        given, made = (torch.from_numpy(each)[None] for each in self.insides.products[name])
        rounded = rounding(self.arithmetic, module)

        def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            self.compare(f"the inputs of {name}", given, inputs[0])
            return (rounded(given),)

        def after(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self.compare(name, made, output)
            return made

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)

    def compare(self, place: str, got: Tensor, want: Tensor) -> None:
        self.errors[place] = channel_error(got.flatten(0, -2).numpy(), want.flatten(0, -2).numpy())

    def attend(self, number: int, attention: Attention, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """attention of x [1, S, hidden] to what the bundle keeps, new positions included."""
        length = x.shape[1]

        def heads(projected: Tensor, count: int) -> Tensor:
            return projected.view(1, length, count, attention.head_dim).transpose(1, 2)

        query = rotate(heads(attention.q_proj(x), attention.heads), cos, sin)
        new = rotate(heads(attention.k_proj(x), attention.kv_heads), cos, sin)
        key = self._kept(2 * number, new, f"the keys of layer {number}")
        value = heads(attention.v_proj(x), attention.kv_heads)
        value = self._kept(2 * number + 1, value, f"the values of layer {number}")
        groups = attention.heads // attention.kv_heads
        out = F.scaled_dot_product_attention(query, repeat_heads(key, groups), repeat_heads(value, groups), mask)
        out = out.transpose(1, 2).reshape(1, length, -1)
        if number in self.insides.attended:
            given = torch.from_numpy(self.insides.attended[number])[None]
            self.compare(f"the attention of layer {number}", given, out)
            out = given
        return attention.o_proj(out)

    def _kept(self, index: int, new: Tensor, place: str) -> Tensor:
        """What the bundle keeps [1, KV, P + S, d], its last positions held against `new` [1, KV, S, d]."""
        kept = torch.from_numpy(self.insides.kept[index])
        step = torch.zeros(1)
        if self.insides.scales:
            step = torch.from_numpy(self.insides.scales[index])
            kept = kept.float() * step
        latest = kept[:, :, -new.shape[2] :]
        # An integer is right that is the nearest one: half a step is no error. What the scale cannot hold is one.
        beyond = (latest - new).abs().sub(step / 2).clamp(min=0)
        by_channel = (each.transpose(1, 2).flatten(2)[0].numpy() for each in (new + beyond, new))
        self.errors[place] = channel_error(*by_channel)
        return kept


def channel_error(got: np.ndarray, want: np.ndarray) -> float:
    """The worst channel of [S, C]: the norm of its difference over its own norm, or that of a usual channel where it is
    smaller. Everything else of a layer cannot drown one channel."""
    if got.shape != want.shape:
        return float("inf")
    off, size = np.linalg.norm(got - want, axis=0), np.linalg.norm(want, axis=0)
    usual = float(np.sqrt(np.square(size).mean()))
    return float((off / np.maximum(np.maximum(size, usual), 1e-12)).max())


@torch.inference_mode()
def follow(model: Llava, insides: Insides, arithmetic: Arithmetic) -> dict[str, float]:
    """Errors by place (see channel_error), in the order of the data. Uses `model` up, layer by layer."""
    text, follower = model.config.text, _Follower(insides, arithmetic)
    for name, module in model.language_model.named_modules():
        follower.watch(name.removeprefix("model."), module)
    backbone, head = model.language_model.model, model.language_model.lm_head
    forget(model.vision_tower, model.multi_modal_projector)
    x = torch.from_numpy(insides.embeds)[None]
    total = insides.kept[0].shape[2]
    positions = torch.arange(total - x.shape[1], total)
    mask = torch.arange(total)[None] <= positions[:, None]
    cos, sin = rotary(positions, text.head_dim, text.rope_theta)
    for number, layer in enumerate(backbone.layers):
        assert isinstance(layer, Layer)
        widen(layer)
        x = x + follower.attend(number, layer.self_attn, layer.input_layernorm(x), cos, sin, mask)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
        forget(layer)
        release_mapped()
    widen(backbone.norm, head)
    follower.compare("the logits", torch.from_numpy(insides.logits), head(backbone.norm(x[:, -1:]))[0].float())
    return follower.errors
