"""Quantized layers for ONNX Runtime: the checkpoint's own codes as the inputs of its MatMulNBits and MatMulBnb4.

MatMulNBits wants B as uint8 [N, K/g, g * bits / 8], of 4-bit codes the first of each pair in the low half, stored
from 0 up: byte for byte the checkpoint's little-endian int32 words, so they are re-viewed and never computed anew.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from export.graph.codes import ConvOfCodes, EmbeddingOfCodes, in_order_of
from quantize.layers import IntConv2d, IntEmbedding, IntLinear
from quantize.nf4 import Nf4Linear
from quantize.scheme import NF4_BLOCK as BLOCK

# What accumulates: float32, or int8 with the activations rounded to 8 bits in groups. See export.targets.onnx.rounds.
EXACT, INT8 = 0, 4
_BLOCKS = (128, 64, 32, 16)
_NF4 = 1  # MatMulBnb4's number for it


class MatMulNBits(nn.Module):
    """IntLinear as one ONNX node. Only torch.onnx.export can run it: the node has no computation in torch."""

    packed: Tensor
    scale: Tensor
    zeros: Tensor | None
    bias: Tensor | None

    def __init__(self, linear: IntLinear, accuracy_level: int = EXACT) -> None:
        super().__init__()
        n, k, bits = linear.out_features, linear.in_features, linear.scheme.bits
        # Never linear.int_weight: it would unpack every code only to leave them as they are.
        scales, zeros = linear.weight_scale, linear.zero_points
        # The operator knows no scale for a whole channel, so each of its blocks gets the same one.
        group = linear.scheme.group_size or next(size for size in _BLOCKS if k % size == 0)
        repeat = k // group // scales.shape[1]
        self.out_features = n
        self.attributes: dict[str, Any] = {
            "K": k,
            "N": n,
            "bits": bits,
            "block_size": group,
            "accuracy_level": accuracy_level,
        }
        packed = linear.weight_packed.view(torch.uint8).view(n, k // group, group * bits // 8)
        self.register_buffer("packed", packed)
        # Kept in float16, mapped from the checkpoint where it can be; widened in the graph.
        self.register_buffer("scale", scales if repeat == 1 else scales.repeat_interleave(repeat, dim=1))
        self.register_buffer("zeros", None if zeros is None else _zeros(zeros, bits, repeat))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """x float32 [..., K] -> [..., N]"""
        # The operator wants the activations' type.
        inputs = (x, self.packed, self.scale.to(x.dtype)) + (() if self.zeros is None else (self.zeros,))
        shape = (*x.shape[:-1], self.out_features)
        y = torch.onnx.ops.symbolic(
            "com.microsoft::MatMulNBits", inputs, self.attributes, dtype=x.dtype, shape=shape, version=1
        )
        return y if self.bias is None else y + self.bias


def _zeros(zeros: Tensor, bits: int, repeat: int) -> Tensor:
    """Zero points as the operator wants them: uint8 [N, ceil(G * bits / 8)], from 0 up, two 4-bit ones to a byte."""
    raw = (zeros.to(torch.int16) + (1 << (bits - 1))).to(torch.uint8).repeat_interleave(repeat, dim=1)
    if bits == 8:
        return raw
    if raw.shape[1] % 2:
        raw = torch.cat([raw, torch.full_like(raw[:, :1], 8)], dim=1)
    return raw[:, 0::2] | (raw[:, 1::2] << 4)


class MatMulBnb4(nn.Module):
    """Nf4Linear as one ONNX node; as MatMulNBits, only torch.onnx.export can run it.

    https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulBnb4
    """

    codes: Tensor
    absmax: Tensor
    bias: Tensor | None

    def __init__(self, linear: Nf4Linear) -> None:
        super().__init__()
        self.out_features = linear.out_features
        self.attributes: dict[str, Any] = {
            "K": linear.in_features,
            "N": linear.out_features,
            "block_size": BLOCK,
            "quant_type": _NF4,
        }
        self.register_buffer("codes", linear.codes.flatten())
        self.register_buffer("absmax", linear.absmax.float())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """x float32 [..., K] -> [..., N]"""
        shape = (*x.shape[:-1], self.out_features)
        inputs = (x, self.codes, self.absmax)
        y = torch.onnx.ops.symbolic(
            "com.microsoft::MatMulBnb4", inputs, self.attributes, dtype=x.dtype, shape=shape, version=1
        )
        return y if self.bias is None else y + self.bias


def use_runtime_operators(model: nn.Module, accuracy_level: int = EXACT) -> None:
    """Replace every quantized layer inside `model`, in place."""
    for name, module in list(model.named_modules()):
        match module:
            case IntLinear():
                model.set_submodule(name, in_order_of(module, MatMulNBits(module, accuracy_level)))
            case Nf4Linear():
                model.set_submodule(name, MatMulBnb4(module))
            case IntConv2d():
                model.set_submodule(name, ConvOfCodes(module))
            case IntEmbedding():
                model.set_submodule(name, EmbeddingOfCodes(module))
