"""4-bit weights: the one place that turns float weights into integers, so that every exporter ships the same ones.

The scheme is symmetric round-to-nearest in groups along the input dimension, w ~ scale * code with code in -8..7, with
compressed-tensors' own scale rule (largest magnitude / 7.5) and its `pack-quantized` layout: eight codes to an int32,
the first in the lowest four bits, each stored as code + 8. Those words, seen as little-endian bytes, are also the B
input of ONNX Runtime's MatMulNBits with its implicit zero point of 8: exporters copy, they never quantize again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP_SIZES = (32, 64, 128)
CODE_MIN, CODE_MAX = -8, 7


@dataclass(frozen=True)
class Int4Weight:
    """A quantized weight: codes int8 [N, K] in -8..7 and scales float16 [N, K / group_size]."""

    codes: Tensor
    scales: Tensor

    @property
    def group_size(self) -> int:
        return self.codes.shape[1] // self.scales.shape[1]


def quantize_int4(weight: Tensor, group_size: int = 32) -> Int4Weight:
    """Round a float weight [N, K] to the nearest of 16 levels in each group of `group_size` inputs.

    Codes are rounded against the float16 scale that is stored, not against the exact one. K must be a multiple of
    `group_size`: padding is not part of the on-disk layout, so callers leave such a layer in float (`fits`).
    Raises ValueError for a weight that is not 2-D, does not fit, or holds NaN, infinity or values beyond float16.
    """
    if group_size not in GROUP_SIZES:
        raise ValueError(f"group size {group_size} is not one of {GROUP_SIZES}")
    if not fits(weight, group_size):
        raise ValueError(
            f"shape {list(weight.shape)} does not divide into groups of {group_size} along its last dimension"
        )
    groups = weight.detach().float().unflatten(1, (-1, group_size))  # [N, K/g, g]
    scales = (groups.abs().amax(dim=-1) / 7.5).half()  # [N, K/g]
    if not torch.isfinite(scales).all():
        raise ValueError("the weight holds NaN, infinity or values too large for a float16 scale")
    # An all-zero group (or one below float16's range) keeps codes of 0; its scale only has to be nonzero.
    scales[scales == 0] = torch.finfo(torch.float16).eps
    codes = (groups / scales.float().unsqueeze(-1)).round().clamp(CODE_MIN, CODE_MAX)
    return Int4Weight(codes.to(torch.int8).flatten(1), scales)


def fits(weight: Tensor, group_size: int) -> bool:
    """Whether a weight can be stored in this layout: two-dimensional, K a multiple of the group size."""
    return weight.ndim == 2 and weight.shape[1] % group_size == 0


def dequantize(weight: Int4Weight, dtype: torch.dtype = torch.float32) -> Tensor:
    """codes * scales as [N, K]; exact in float32, since a 4-bit code times a float16 scale has at most 15 bits."""
    groups = weight.codes.unflatten(1, (-1, weight.group_size)).float() * weight.scales.float().unsqueeze(-1)
    return groups.flatten(1).to(dtype)


def pack(codes: Tensor) -> Tensor:
    """int8 codes [N, K] in -8..7 -> int32 [N, K / 8] in the pack-quantized layout. K must be a multiple of 8."""
    nibbles = (codes + 8).to(torch.uint8)
    pairs = nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)  # [N, K/2]; the first of two codes is the low half of the byte
    return pairs.contiguous().view(torch.int32)


def unpack(packed: Tensor) -> Tensor:
    """int32 [N, K / 8] -> int8 codes [N, K]; the inverse of `pack`."""
    pairs = packed.contiguous().view(torch.uint8)  # little-endian hosts only, as every torch wheel is
    nibbles = torch.stack((pairs & 0xF, pairs >> 4), dim=-1).flatten(1)
    return nibbles.to(torch.int8) - 8


@torch.library.custom_op("pulse::int4_linear", mutates_args=())
def int4_linear(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None, group_size: int) -> Tensor:
    """x [..., K] @ dequantized weight [N, K] transposed (+ bias [N]) -> [..., N], in x's dtype.

    An operator of its own, so that an exporter meets one node with the integers in it, and not their arithmetic.
    """
    weight = dequantize(Int4Weight(unpack(packed), scale), x.dtype)
    return F.linear(x, weight, bias)


@int4_linear.register_fake
def _(x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None, group_size: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], packed.shape[0]))


class Int4Linear(nn.Module):
    """nn.Linear on 4-bit weights, with the tensor names of compressed-tensors' pack-quantized format.

    Buffers: weight_packed int32 [N, K/8], weight_scale float16 [N, K/group_size], weight_shape int64 [2], and bias [N]
    or None. Inference only: rounding has no gradient.
    """

    weight_packed: Tensor
    weight_scale: Tensor
    weight_shape: Tensor
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, group_size: int, bias: bool = False) -> None:
        super().__init__()
        if group_size not in GROUP_SIZES or in_features % group_size:
            raise ValueError(f"{in_features} inputs do not divide into groups of {group_size} (one of {GROUP_SIZES})")
        self.in_features, self.out_features, self.group_size = in_features, out_features, group_size
        self.register_buffer("weight_packed", torch.zeros(out_features, in_features // 8, dtype=torch.int32))
        self.register_buffer("weight_scale", torch.ones(out_features, in_features // group_size, dtype=torch.float16))
        self.register_buffer("weight_shape", torch.tensor([out_features, in_features]))
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)

    @classmethod
    def from_linear(cls, linear: nn.Linear, group_size: int) -> Int4Linear:
        """Quantize an nn.Linear. Raises ValueError as quantize_int4 does."""
        weight = quantize_int4(linear.weight, group_size)
        layer = cls(linear.in_features, linear.out_features, group_size, linear.bias is not None)
        layer.weight_packed, layer.weight_scale = pack(weight.codes), weight.scales
        if linear.bias is not None:
            layer.bias = linear.bias.detach().clone()
        return layer

    def to_linear(self) -> nn.Linear:
        """The float32 nn.Linear that computes the same."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        linear.weight.data = dequantize(Int4Weight(unpack(self.weight_packed), self.weight_scale))
        if self.bias is not None:
            linear.bias.data = self.bias.float()
        return linear

    def forward(self, x: Tensor) -> Tensor:
        """x [..., K] -> [..., N]"""
        return int4_linear(x, self.weight_packed, self.weight_scale, self.bias, self.group_size)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, group_size={self.group_size}, bias={self.bias is not None}"
