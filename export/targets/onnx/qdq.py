"""Quantized layers in standard ONNX operators alone: the checkpoint's integers behind blocked DequantizeLinear nodes.

Compilers of other execution providers (TensorRT; QNN beside 16-bit activations, as export.targets.qnn writes them) fuse
DequantizeLinear and MatMul into their own 4-bit product;
ONNX Runtime on a CPU does so as well. Blocks and 4-bit integers came with opset 21.
https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_runtime.errors import UserError
from export.graph.codes import EmbeddingOfCodes, in_order_of
from quantize.layers import IntConv2d, IntEmbedding, IntLayer, IntLinear
from quantize.nf4 import Nf4Linear

OPSET = 21
_FOUR_BITS = "codes_of_4_bits"  # how store_as_int4 knows them, for torch has no such type


class _Dequantized(nn.Module):
    """An integer layer's weight as one DequantizeLinear node; only torch.onnx.export can run it.

    codes int8 in the layout that the float weight has in the graph, [K, N] or [N, ...]; scale one for each block of
    `block` codes along `axis`, or (block None) one for each index of `axis`.
    """

    def __init__(self, codes: Tensor, scale: Tensor, zeros: Tensor | None, bits: int, axis: int, block: int | None):
        super().__init__()
        self.names = [_FOUR_BITS if bits == 4 else "codes", f"zeros_{_FOUR_BITS}" if bits == 4 else "zeros"]
        self.register_buffer(self.names[0], codes.contiguous())
        self.scale = nn.Buffer(scale.float().contiguous())
        self.register_buffer(self.names[1], None if zeros is None else zeros.contiguous())
        self.attributes: dict[str, Any] = {"axis": axis} | ({} if block is None else {"block_size": block})

    def forward(self) -> Tensor:
        codes, zeros = (self.get_buffer(name) if self._buffers[name] is not None else None for name in self.names)
        assert codes is not None
        inputs = (codes, self.scale) + (() if zeros is None else (zeros,))
        return torch.onnx.ops.symbolic(
            "::DequantizeLinear", inputs, self.attributes, dtype=torch.float32, shape=codes.shape
        )


class QdqLinear(nn.Module):
    """IntLinear: x float32 [..., K] -> [..., N]. The codes are stored [K, N], as MatMul wants its weight."""

    bias: Tensor | None

    def __init__(self, linear: IntLinear) -> None:
        super().__init__()
        weight, group = linear.int_weight, linear.scheme.group_size
        scale, zeros = weight.scales.T, None if weight.zeros is None else weight.zeros.T
        if group is None:
            scale, zeros = scale[0], None if zeros is None else zeros[0]
        axis = 1 if group is None else 0
        self.weight = _Dequantized(weight.codes.T, scale, zeros, weight.bits, axis, group)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        y = x @ self.weight()
        return y if self.bias is None else y + self.bias


class QdqConv(nn.Module):
    """IntConv2d: x float32 [B, C, H, W] -> [B, N, H', W']."""

    bias: Tensor | None

    def __init__(self, conv: IntConv2d) -> None:
        super().__init__()
        weight = conv.int_weight
        self.stride, self.padding = conv.stride, conv.padding
        self.weight = _Dequantized(weight.codes.view(conv.shape), weight.scales[:, 0], None, weight.bits, 0, None)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(), self.bias, self.stride, self.padding)


def use_standard_operators(model: nn.Module) -> None:
    """Replace every quantized layer inside `model`, in place. Raises UserError for nf4, which is no affine format."""
    for name, module in list(model.named_modules()):
        match module:
            case IntLinear():
                model.set_submodule(name, in_order_of(module, QdqLinear(module)))
            case IntConv2d():
                model.set_submodule(name, QdqConv(module))
            case IntEmbedding():
                model.set_submodule(name, EmbeddingOfCodes(module))
            case Nf4Linear():
                raise UserError(
                    "nf4 weights have no DequantizeLinear; leave out --onnx-style qdq, or use --weights int4"
                )
            case IntLayer():
                raise TypeError(f"no standard operators for {type(module).__name__}")


def store_as_int4(graph: ir.Graph) -> None:
    """Give the 4-bit codes, int8 until now, their own type: two to a byte in the file, the same values."""
    for name, value in graph.initializers.items():
        if _FOUR_BITS in name and value.const_value is not None:
            codes = value.const_value.numpy().astype(ir.DataType.INT4.numpy())
            value.const_value = ir.tensor(codes, dtype=ir.DataType.INT4, name=name)
            value.type = ir.TensorType(ir.DataType.INT4)
