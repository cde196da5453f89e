"""Convolutions of a float vision tower in 8 bits: what a chip wants that has no float convolutions worth the name."""

from __future__ import annotations

from torch import nn

from quantize.layers import IntLayer, quantized
from quantize.scheme import INT8


def int8_convolutions(tower: nn.Module) -> dict[str, IntLayer]:
    """Integer layers in place of the tower's float convolutions, by name: a scale a channel, rounded to nearest. Those
    that have no integer counterpart (groups, dilation, inputs that do not divide by 16) are left out."""
    return {
        name: quantized(module, INT8)
        for name, module in tower.named_modules()
        if isinstance(module, nn.Conv2d) and _fits(module)
    }


def _fits(conv: nn.Conv2d) -> bool:
    return conv.groups == 1 and conv.dilation == (1, 1) and INT8.fits(conv.weight.flatten(1))
