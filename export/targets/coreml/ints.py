"""Integer layers for Core ML: the checkpoint's own codes and scales in constexpr_blockwise_shift_scale (iOS 18).

Importing this module teaches coremltools' converter the operators that quantize.layers compute with. A weight is scale
* (data - offset) with data int4 or int8 and scale float16 as stored; Core ML widens it to float16 when it loads the
package or while it computes. coremltools' own quantizer is not used: it would round once more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil import register_torch_op
from coremltools.converters.mil.frontend.torch.ops import _get_inputs
from coremltools.converters.mil.mil import types

from edge_runtime.errors import UserError
from quantize.integers import unpack, unpack_zeros

_TYPES = {4: types.np_int4_dtype, 8: np.int8}


def _weight(packed: Any, scale: Any, zero: Any, bits: int, shape: list[int] | None = None) -> Any:
    """The constexpr of a weight; shape: that of the float weight where it has more than two dimensions."""
    codes = unpack(torch.from_numpy(np.ascontiguousarray(packed.val)), bits).numpy()
    scales = scale.val.astype(np.float16)
    if not np.array_equal(scales.astype(np.float32), scale.val.astype(np.float32)):
        raise UserError(
            "Core ML keeps scales as float16, which does not have one of this checkpoint's; quantize the float "
            "checkpoint with pulse-quantize, or use --weights float16"
        )
    zeros = None if zero is None else unpack_zeros(torch.from_numpy(np.array(zero.val)), bits, len(codes)).numpy()
    if shape is not None:
        codes = codes.reshape(shape)
        scales = scales.reshape(len(codes), -1, *(1,) * (len(shape) - 2))
    offset = {} if zeros is None else {"offset": zeros.astype(_TYPES[bits])}
    return mb.constexpr_blockwise_shift_scale(data=codes.astype(_TYPES[bits]), scale=scales, **offset)


def _bias(bias: Any) -> dict[str, Any]:
    return {} if bias is None else {"bias": bias.val.astype(np.float16)}


# Converters run in float32 and are turned to float16 later, which would leave the constexpr out: so each does it here.


@register_torch_op(torch_alias=["pulse::int_linear", "pulse.int_linear"])
def int_linear(context: Any, node: Any) -> None:
    """quantize.layers.int_linear as constexpr weight and linear, in float16."""
    x, packed, scale, zero, bias, bits = _get_inputs(context, node, expected=6)
    weight = _weight(packed, scale, zero, int(bits.val))
    y = mb.linear(x=mb.cast(x=x, dtype="fp16"), weight=weight, **_bias(bias))
    context.add(mb.cast(x=y, dtype="fp32"), torch_name=node.name)


@register_torch_op(torch_alias=["pulse::int_conv2d", "pulse.int_conv2d"])
def int_conv2d(context: Any, node: Any) -> None:
    """quantize.layers.int_conv2d as constexpr weight and conv, in float16."""
    x, packed, scale, zero, bias, bits, shape, stride, padding = _get_inputs(context, node, expected=9)
    sizes, strides, (rows, columns) = ([int(v) for v in _values(given)] for given in (shape, stride, padding))
    y = mb.conv(
        x=mb.cast(x=x, dtype="fp16"),
        weight=_weight(packed, scale, zero, int(bits.val), sizes),
        strides=strides,
        pad_type="custom",
        pad=[rows, rows, columns, columns],
        **_bias(bias),
    )
    context.add(mb.cast(x=y, dtype="fp32"), torch_name=node.name)


@register_torch_op(torch_alias=["pulse::int_embedding", "pulse.int_embedding"])
def int_embedding(context: Any, node: Any) -> None:
    """quantize.layers.int_embedding as constexpr table and gather, in float16."""
    ids, packed, scale, bits = _get_inputs(context, node, expected=4)
    rows = mb.gather(x=_weight(packed, scale, None, int(bits.val)), indices=ids, axis=0)
    context.add(mb.cast(x=rows, dtype="fp32"), torch_name=node.name)


def _values(given: Any) -> Any:
    """A list argument: one constant, or a list of them."""
    return [item.val for item in given] if isinstance(given, list) else given.val
