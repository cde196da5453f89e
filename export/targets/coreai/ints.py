"""Integer layers for Core AI: the checkpoint's own codes, kept in 4 or 8 bits, before a product in float32.

The asset holds them as Core AI's blockwise_shift_scale, the operator of Apple's own compressed weights. Its scales are
float32 here: with float16 ones it would round each weight to float16.
"""

from __future__ import annotations

import torch

# Registers the operator with torch; coreai-torch offers no public way to give it integers that exist already.
from coreai_torch._compression import custom_layers  # noqa: F401
from torch import Tensor, nn
from torch.nn import functional as F

from export.graph.codes import EmbeddingOfCodes, in_order_of
from quantize.integers import IntWeight
from quantize.layers import IntConv2d, IntEmbedding, IntLinear

_TYPES = {4: getattr(torch, "int4"), 8: torch.int8}  # noqa: B009  (torch ships no type of it)


class _Dequantized(nn.Module):
    """A weight float32 [N, K] of codes int8 [N, K], with scales and zero points for its groups [N, G]."""

    codes: Tensor
    scale: Tensor
    zeros: Tensor | None

    def __init__(self, weight: IntWeight) -> None:
        super().__init__()
        self.kind = _TYPES[weight.bits]
        self.register_buffer("codes", weight.codes.contiguous())
        self.register_buffer("scale", weight.scales.float().contiguous())
        self.register_buffer("zeros", None if weight.zeros is None else weight.zeros.contiguous())

    def forward(self) -> Tensor:
        found: Tensor = torch.ops.coreai.constexpr_blockwise_shift_scale(
            self.codes, self.scale, zero_point=self.zeros, minval=None, input_dtype=self.kind, output_dtype=None
        )
        return found


class DequantizedLinear(nn.Module):
    """IntLinear: x float32 [..., K] -> [..., N]."""

    bias: Tensor | None

    def __init__(self, linear: IntLinear) -> None:
        super().__init__()
        self.weight = _Dequantized(linear.int_weight)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight(), self.bias)


class DequantizedConv(nn.Module):
    """IntConv2d: x float32 [B, C, H, W] -> [B, N, H', W']."""

    bias: Tensor | None

    def __init__(self, conv: IntConv2d) -> None:
        super().__init__()
        self.weight, self.shape = _Dequantized(conv.int_weight), conv.shape
        self.stride, self.padding = conv.stride, conv.padding
        self.register_buffer("bias", None if conv.bias is None else conv.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight().view(self.shape), self.bias, self.stride, self.padding)


def use_core_ai_integers(model: nn.Module) -> None:
    """Replace every integer layer inside `model`, in place."""
    for name, module in list(model.named_modules()):
        match module:
            case IntLinear():
                model.set_submodule(name, in_order_of(module, DequantizedLinear(module)))
            case IntConv2d():
                model.set_submodule(name, DequantizedConv(module))
            case IntEmbedding():
                model.set_submodule(name, EmbeddingOfCodes(module))
