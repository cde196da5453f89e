"""8-bit layers in operators that every format has: codes are widened and scaled in the graph itself.

ONNX Runtime folds what a convolution needs into float32 when it loads the graph; of a token table only the rows that
are looked up are widened.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from quantize.layers import IntConv2d, IntEmbedding, IntLinear


class ConvOfCodes(nn.Module):
    """IntConv2d as (codes int8 * scale) and a convolution: x float32 [B, C, H, W] -> [B, N, H', W']."""

    codes: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, conv: IntConv2d) -> None:
        super().__init__()
        weight = conv.int_weight
        if weight.zeros is not None or weight.scales.shape[1] != 1:
            raise ValueError("a convolution has one scale an output channel and no zero points")
        self.stride, self.padding = conv.stride, conv.padding
        self.register_buffer("codes", weight.codes.view(conv.shape))
        self.register_buffer("scale", weight.scales.view(-1, 1, 1, 1))
        self.register_buffer("bias", None if conv.bias is None else conv.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.codes.float() * self.scale.float(), self.bias, self.stride, self.padding)


class EmbeddingOfCodes(nn.Module):
    """IntEmbedding as two look-ups and a product: ids int64 [...] -> float32 [..., D]."""

    codes: Tensor
    scale: Tensor

    def __init__(self, table: IntEmbedding) -> None:
        super().__init__()
        weight = table.int_weight
        if weight.scales.shape[1] != 1:
            raise ValueError("a token table has one scale a row")
        self.register_buffer("codes", weight.codes)
        self.register_buffer("scale", weight.scales)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.codes).float() * F.embedding(ids, self.scale).float()


class Reordered(nn.Module):
    """A layer behind its inputs in another order: x [..., K] -> what `layer` makes of x[..., order]."""

    order: Tensor

    def __init__(self, order: Tensor, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.index_select(-1, self.order))


def in_order_of(linear: IntLinear, layer: nn.Module) -> nn.Module:
    """The layer that takes the place of an IntLinear: itself, or behind the order of inputs that its codes are in."""
    return layer if linear.input_order is None else Reordered(linear.input_order, layer)
