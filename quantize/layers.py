"""Layers on integer weights, with the tensor names of compressed-tensors' pack-quantized format.

Each holds weight_packed int32, weight_scale float16 and weight_shape int64, weight_zero_point int32 when asymmetric,
and bias or None (quantize.integers has their layout). Inference only: rounding has no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quantize.integers import IntWeight, dequantize, pack, pack_zeros, quantize, unpack, unpack_zeros
from quantize.scheme import Scheme

PACKED, SCALE, ZERO, SHAPE = "weight_packed", "weight_scale", "weight_zero_point", "weight_shape"
ORDER = "input_order"  # of IntLinear; never on disk


@torch.library.custom_op("pulse::int_linear", mutates_args=())
def int_linear(x: Tensor, packed: Tensor, scale: Tensor, zero: Tensor | None, bias: Tensor | None, bits: int) -> Tensor:
    """x [..., K] @ dequantized weight [N, K] transposed (+ bias [N]) -> [..., N], in x's dtype.

    An operator of its own, so that an exporter meets one node with the integers in it, and not their arithmetic.
    """
    return F.linear(x, dequantize(_weight(packed, scale, zero, bits), x.dtype), bias)


@int_linear.register_fake
def _(x: Tensor, packed: Tensor, scale: Tensor, zero: Tensor | None, bias: Tensor | None, bits: int) -> Tensor:
    return x.new_empty((*x.shape[:-1], packed.shape[0]))


@torch.library.custom_op("pulse::int_conv2d", mutates_args=())
def int_conv2d(
    x: Tensor,
    packed: Tensor,
    scale: Tensor,
    zero: Tensor | None,
    bias: Tensor | None,
    bits: int,
    shape: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    """x [B, C, H, W] convolved with the dequantized weight of `shape` [N, C, h, w] -> [B, N, H', W'], in x's dtype."""
    weight = dequantize(_weight(packed, scale, zero, bits), x.dtype).view(shape)
    return F.conv2d(x, weight, bias, stride, padding)


@int_conv2d.register_fake
def _(
    x: Tensor,
    packed: Tensor,
    scale: Tensor,
    zero: Tensor | None,
    bias: Tensor | None,
    bits: int,
    shape: list[int],
    stride: list[int],
    padding: list[int],
) -> Tensor:
    return F.conv2d(x, x.new_empty(shape), bias, stride, padding)


@torch.library.custom_op("pulse::int_embedding", mutates_args=())
def int_embedding(ids: Tensor, packed: Tensor, scale: Tensor, bits: int) -> Tensor:
    """Rows ids int64 [...] of the dequantized table [V, D] -> float32 [..., D]; no other row is dequantized."""
    rows = ids.flatten()
    found = IntWeight(unpack(packed[rows], bits), scale[rows], None, bits)
    return dequantize(found).view(*ids.shape, -1)


@int_embedding.register_fake
def _(ids: Tensor, packed: Tensor, scale: Tensor, bits: int) -> Tensor:
    return scale.new_empty((*ids.shape, packed.shape[1] * 32 // bits), dtype=torch.float32)


def _weight(packed: Tensor, scale: Tensor, zero: Tensor | None, bits: int) -> IntWeight:
    return IntWeight(unpack(packed, bits), scale, _zeros(zero, bits, len(packed)), bits)


def _zeros(zero: Tensor | None, bits: int, rows: int) -> Tensor | None:
    return None if zero is None else unpack_zeros(zero, bits, rows)


class IntLayer(nn.Module):
    """A layer whose weight, seen as [N, K], is integers. K is all but the first of the weight's dimensions."""

    weight_packed: Tensor
    weight_scale: Tensor
    weight_zero_point: Tensor | None
    weight_shape: Tensor

    def __init__(self, shape: tuple[int, ...], scheme: Scheme) -> None:
        super().__init__()
        n, k = shape[0], torch.Size(shape[1:]).numel()
        if not scheme.fits(torch.empty(n, k, device="meta")):
            raise ValueError(f"{k} inputs do not divide into groups of {scheme.group_size or 16}")
        self.scheme = scheme
        groups = k // (scheme.group_size or k)
        zeros = None if scheme.symmetric else pack_zeros(torch.zeros(n, groups, dtype=torch.int8), scheme.bits)
        self.register_buffer(PACKED, torch.zeros(n, k * scheme.bits // 32, dtype=torch.int32))
        self.register_buffer(SCALE, torch.ones(n, groups, dtype=torch.float16))
        self.register_buffer(ZERO, zeros)
        self.register_buffer(SHAPE, torch.tensor(shape))

    @property
    def int_weight(self) -> IntWeight:
        return _weight(self.weight_packed, self.weight_scale, self.weight_zero_point, self.scheme.bits)

    @property
    def zero_points(self) -> Tensor | None:
        """int8 [N, G]; None where all are 0."""
        return _zeros(self.weight_zero_point, self.scheme.bits, len(self.weight_packed))

    @property
    def float_weight(self) -> Tensor:
        """The dequantized weight in float32, in the layer's own shape."""
        return dequantize(self.int_weight).view(self.weight_shape.tolist())

    def set_weight(self, weight: IntWeight) -> None:
        for name, tensor in stored(weight, tuple(self.weight_shape.tolist())).items():
            setattr(self, name, tensor)

    def to_float(self) -> nn.Module:
        """The float32 layer that computes the same."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


def stored(weight: IntWeight, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """A weight's tensors in a checkpoint, by their last name; shape: that of the float weight."""
    tensors = {PACKED: pack(weight.codes, weight.bits), SCALE: weight.scales, SHAPE: torch.tensor(shape)}
    return tensors if weight.zeros is None else {**tensors, ZERO: pack_zeros(weight.zeros, weight.bits)}


class IntLinear(IntLayer):
    """nn.Linear: x [..., K] -> [..., N].

    input_order: int64 [K], which input each column of the codes is for, where others' groups (GPTQ's desc_act) are not
    of consecutive inputs; None where they are.
    """

    bias: Tensor | None
    input_order: Tensor | None

    def __init__(self, in_features: int, out_features: int, scheme: Scheme, bias: bool = False) -> None:
        super().__init__((out_features, in_features), scheme)
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("bias", torch.zeros(out_features) if bias else None)
        self.register_buffer(ORDER, None)

    @property
    def float_weight(self) -> Tensor:
        weight = super().float_weight
        return weight if self.input_order is None else torch.empty_like(weight).index_copy_(1, self.input_order, weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.input_order is not None:
            x = x.index_select(-1, self.input_order)
        return int_linear(x, self.weight_packed, self.weight_scale, self.weight_zero_point, self.bias, self.scheme.bits)

    def to_float(self) -> nn.Linear:
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None)
        linear.weight.data = self.float_weight
        if self.bias is not None:
            linear.bias.data = self.bias.float()
        return linear

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self.scheme}, bias={self.bias is not None}"


class IntConv2d(IntLayer):
    """nn.Conv2d with zero padding: x [B, C, H, W] -> [B, N, H', W']. K is C * kernel height * kernel width."""

    bias: Tensor | None

    def __init__(self, like: nn.Conv2d, scheme: Scheme) -> None:
        super().__init__(tuple(like.weight.shape), scheme)
        self.shape = list(like.weight.shape)
        self.stride: Any = list(like.stride)
        self.padding: Any = list(like.padding)
        if like.groups != 1 or like.dilation != (1, 1) or like.padding_mode != "zeros" or isinstance(like.padding, str):
            raise ValueError("only plain convolutions are quantized")
        self.register_buffer("bias", None if like.bias is None else torch.zeros(like.out_channels))

    def forward(self, x: Tensor) -> Tensor:
        tensors = (self.weight_packed, self.weight_scale, self.weight_zero_point, self.bias)
        return int_conv2d(x, *tensors, self.scheme.bits, self.shape, self.stride, self.padding)

    def to_float(self) -> nn.Conv2d:
        n, c, rows, columns = self.shape
        conv = nn.Conv2d(c, n, (rows, columns), self.stride, self.padding, bias=self.bias is not None)
        conv.weight.data = self.float_weight
        if self.bias is not None and conv.bias is not None:
            conv.bias.data = self.bias.float()
        return conv


class IntEmbedding(IntLayer):
    """nn.Embedding: ids int64 [...] -> float32 [..., D]."""

    def __init__(self, rows: int, size: int, scheme: Scheme) -> None:
        if not scheme.symmetric:
            raise ValueError("a token table has no zero points")
        super().__init__((rows, size), scheme)

    def forward(self, ids: Tensor) -> Tensor:
        return int_embedding(ids, self.weight_packed, self.weight_scale, self.scheme.bits)

    def to_float(self) -> nn.Embedding:
        return nn.Embedding.from_pretrained(self.float_weight, freeze=True)


def int_layer(layer: nn.Module, scheme: Scheme) -> IntLayer:
    """An empty integer layer in place of a float one. Raises ValueError when it has none or the weight does not fit."""
    match layer:
        case nn.Linear():
            return IntLinear(layer.in_features, layer.out_features, scheme, layer.bias is not None)
        case nn.Conv2d():
            return IntConv2d(layer, scheme)
        case nn.Embedding():
            return IntEmbedding(layer.num_embeddings, layer.embedding_dim, scheme)
    raise ValueError(f"a {type(layer).__name__} has no integer counterpart")


def quantized(layer: nn.Module, scheme: Scheme) -> IntLayer:
    """A float layer with its weight rounded to nearest. Raises ValueError as quantize and int_layer do."""
    new = int_layer(layer, scheme)
    assert isinstance(layer.weight, Tensor)
    new.set_weight(quantize(layer.weight.flatten(1), scheme))
    if isinstance(getattr(layer, "bias", None), Tensor):
        new.bias = layer.bias.detach().clone()  # type: ignore[operator]
    return new
