"""AWQ (Lin et al. 2023, arXiv 2306.00978): inputs that are large get finer steps.

A layer's weights are multiplied by a factor for each input, and whatever gives that input is divided by it, so nothing
changes but the rounding. The factors are the inputs' mean size to a power that is searched for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from quantize.integers import IntWeight, dequantize, grouped, quantize
from quantize.scale_search import clipped
from quantize.scheme import Scheme

POWERS = tuple(k / 20 for k in range(20))


def input_factors(weights: Sequence[Tensor], moments: Tensor, sizes: Tensor, scheme: Scheme) -> Tensor:
    """Factors float32 [K] for layers [N, K] that share their inputs; all 1 where no power helps.

    moments: second moments [K, K] of the inputs; sizes: their mean absolute values [K].
    """
    best, least = torch.ones(len(sizes)), torch.inf
    for power in POWERS:
        factors = sizes.clamp(min=1e-4) ** power
        factors = factors / (factors.max() * factors.min()).sqrt()
        error = 0.0
        for weight in weights:
            off = dequantize(quantize(weight * factors, scheme)) / factors - weight
            error += float(((off @ moments) * off).sum())
        if error < least:
            best, least = factors, error
    return best


def clip_to_integers(weight: Tensor, moments: Tensor, scheme: Scheme) -> IntWeight:
    """A weight [N, K] rounded to nearest, with clipped scales. Raises ValueError as quantize.integers.quantize."""
    grouped(weight, scheme)
    codes, scales, zeros = clipped(weight, moments, scheme)
    codes = codes.to(torch.int8).flatten(1)
    return IntWeight(codes, scales, None if scheme.symmetric else zeros.to(torch.int8), scheme.bits)
