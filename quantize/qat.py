"""Quantization-aware training: the loss sees rounded weights, the optimizer moves the float ones beneath them.

Rounding has no slope, so its gradient is taken to be that of the identity (the straight-through estimator, Bengio et
al. 2013, arXiv 1308.3432). Weights are rounded as quantize_checkpoint rounds them to nearest: what training saw is what
ships.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from edge_runtime.errors import UserError
from quantize.integers import dequantize, quantize
from quantize.precision import Precision
from quantize.scheme import Scheme


def rounded(weights: Mapping[str, Tensor], precision: Precision) -> dict[str, Tensor]:
    """The weights of a model, by its names, those that `precision` quantizes rounded; gradients reach the given ones.

    Raises UserError for nf4, whose rounding is not this project's; ValueError for NaN or infinity.
    """
    found = {}
    for name, weight in weights.items():
        scheme = precision.of(name, weight)
        if scheme is not None and not isinstance(scheme, Scheme):
            raise UserError(f"{precision.scheme} cannot be trained for; use an int4 scheme or int8")
        found[name] = weight if scheme is None else _through(weight, scheme)
    return found


def call_rounded(model: nn.Module, precision: Precision, *args: Any) -> Any:
    """model(*args) as it will compute once quantized; the model itself keeps its float weights."""
    return functional_call(model, rounded(dict(model.named_parameters()), precision), args)


def _through(weight: Tensor, scheme: Scheme) -> Tensor:
    with torch.autocast(weight.device.type, enabled=False):  # rounded as what ships is, whatever the loss computes in
        nearest = dequantize(quantize(weight.detach().flatten(1), scheme)).view_as(weight)
    return weight + (nearest.to(weight.dtype) - weight.detach())
