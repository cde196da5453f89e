"""The torch reference that rounds as a bundle does.

The rules were found by holding single operators of each runtime against torch; tests/export/test_arithmetic.py does it
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from export.certificate.arithmetic import Activations, Arithmetic
from pulse.model.llava import Llava
from quantize.layers import SCALE, IntLinear
from quantize.tower import int8_convolutions

_BLOCKS = (128, 64, 32, 16)  # of MatMulNBits where a weight has one scale a channel; see export.targets.onnx.nbits


def in_blocks(x: Tensor, size: int) -> Tensor:
    """x float32 [..., K] rounded to -127..127 times a scale for each `size` inputs, their largest magnitude over 127.

    ONNX Runtime's MatMulNBits with accuracy_level 4 (MLAS, CompInt8), whatever the weight's bits.
    """
    blocks = x.unflatten(-1, (-1, size))
    largest = blocks.abs().amax(-1, keepdim=True)
    codes = (blocks * torch.where(largest > 0, 127 / largest, 0.0)).round()
    return (codes * (largest / 127)).flatten(-2)


def by_token(x: Tensor) -> Tensor:
    """x float32 [..., K] rounded to 256 levels between its least and its largest value, 0 being one of them.

    XNNPACK's dynamically quantized products (qd8): 0 lies in the range, and the zero point follows from the end whose
    rounding error is the smaller one.
    """
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    steps = torch.where(high == low, 1.0, 255 / (high - low))
    first, last = low * steps, high * steps
    zero = torch.where((-128 + first) + (127 + last) > 0, -128 - first, 127 - last).clamp(-128, 127).round()
    return ((x * steps + zero).round().clamp(-128, 127) - zero) * (1 / steps)


def rounding(arithmetic: Arithmetic, linear: IntLinear) -> Callable[[Tensor], Tensor]:
    """What a runtime with that arithmetic does to the inputs of an integer product."""
    match arithmetic.activations:
        case Activations.INT8_BLOCKS:
            size = linear.scheme.group_size or next(size for size in _BLOCKS if linear.in_features % size == 0)
            return lambda x: in_blocks(x, size)
        case Activations.INT8_TOKENS:
            return by_token
    return lambda x: x  # what torch does not do as the runtime does is in the tolerance


@contextmanager
def rounded_as(model: Llava, arithmetic: Arithmetic) -> Iterator[None]:
    """Meanwhile the integer products of `model` round as the arithmetic says."""
    hooks, scales, kernels = [], {}, {}
    if arithmetic.tower == "int8":
        for name, layer in int8_convolutions(model.vision_tower).items():
            kernels[name] = model.vision_tower.get_submodule(name)
            model.vision_tower.set_submodule(name, layer)
    for name, module in model.named_modules():
        if not isinstance(module, IntLinear):
            continue
        if arithmetic.scales == "bfloat16" and module.scheme.bits == 4:
            scales[module] = module.weight_scale
            module.weight_scale = module.weight_scale.bfloat16()
        if arithmetic.vision or name.startswith("language_model."):
            hooks.append(_round_inputs(module, rounding(arithmetic, module)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for name, kernel in kernels.items():
            model.vision_tower.set_submodule(name, kernel)
        for module, scale in scales.items():
            if SCALE in module._buffers:  # not of a layer that was used up
                module.weight_scale = scale


def _round_inputs(module: nn.Module, rounded: Callable[[Tensor], Tensor]) -> RemovableHandle:
    return module.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0]),))
