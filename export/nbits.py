"""4-bit layers for ONNX: the checkpoint's own integers as the inputs of com.microsoft.MatMulNBits.

MatMulNBits wants B as uint8 [N, K/g, g/2], the first code of each pair in the low half, with 8 as the implicit zero
point: byte for byte the checkpoint's little-endian int32 words, so they are re-viewed and never computed anew.
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from quantize.int4 import Int4Linear

# What accumulates: 0 float32, 4 int8 (activations rounded to 8 bits in groups). Measured on 2048 -> 1024 in groups of
# 32, one thread, batch 1: 0 is exact to 1e-6 and takes 0.54 ms, 4 is off by 0.5 % a layer and takes 0.18 ms. At
# pulse-nano's sizes both take the same, so exactness is free, and it lets the certificate hold a tight threshold.
EXACT, INT8 = 0, 4


class MatMulNBits(nn.Module):
    """Int4Linear as one ONNX node. Only torch.onnx.export can run it: the node has no computation in torch."""

    packed: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: Int4Linear, accuracy_level: int = EXACT) -> None:
        super().__init__()
        n, k, group = linear.out_features, linear.in_features, linear.group_size
        self.out_features = n
        self.attributes: dict[str, Any] = {
            "K": k,
            "N": n,
            "bits": 4,
            "block_size": group,
            "accuracy_level": accuracy_level,
        }
        self.register_buffer("packed", linear.weight_packed.view(torch.uint8).view(n, k // group, group // 2))
        self.register_buffer("scale", linear.weight_scale.float())  # the operator wants the activations' type
        self.register_buffer("bias", None if linear.bias is None else linear.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        """x float32 [..., K] -> [..., N]"""
        y = torch.onnx.ops.symbolic(
            "com.microsoft::MatMulNBits",
            (x, self.packed, self.scale),
            self.attributes,
            dtype=x.dtype,
            shape=(*x.shape[:-1], self.out_features),
            version=1,
        )
        return y if self.bias is None else y + self.bias


def use_matmul_nbits(model: nn.Module, accuracy_level: int = EXACT) -> None:
    """Replace every Int4Linear inside `model`, in place."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Int4Linear):
            model.set_submodule(name, MatMulNBits(module, accuracy_level))
