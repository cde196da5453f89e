"""Scales that clip: giving up the largest weights of a group a little can cost less than coarser steps for all."""

from __future__ import annotations

import torch
from torch import Tensor

from quantize.integers import parameters, round_to
from quantize.scheme import Scheme

SHRINK = tuple(1.0 - 0.05 * k for k in range(10))  # of the min-max scale


def clipped_parameters(groups: Tensor, moments: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Scales float16 and zero points float32 [N, G] of groups [N, G, g] with the least error in the layer's outputs.

    moments: second moments [K, K] of the inputs; only those within a group are looked at, as AWQ's clipping does (Lin
    et al. 2023, arXiv 2306.00978). Raises ValueError as quantize.integers.parameters.
    """
    count, size = groups.shape[1:]
    blocks = torch.stack([moments[g * size : (g + 1) * size, g * size : (g + 1) * size] for g in range(count)])
    best_scales, best_zeros = parameters(groups, scheme)
    least = torch.full(best_scales.shape, torch.inf)
    for shrink in SHRINK:
        scales, zeros = parameters(groups * shrink, scheme)
        off = (round_to(groups, scales, zeros, scheme) - zeros[..., None]) * scales.float()[..., None] - groups
        error = (torch.einsum("ngi,gij->ngj", off, blocks) * off).sum(-1)
        better = error < least
        least = torch.where(better, error, least)
        best_scales, best_zeros = torch.where(better, scales, best_scales), torch.where(better, zeros, best_zeros)
    return best_scales, best_zeros


def clipped(weight: Tensor, moments: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor, Tensor]:
    """Codes float32 [N, G, g] of a weight [N, K] rounded to nearest by clipped_parameters, and these."""
    groups = weight.detach().float().unflatten(1, (-1, scheme.group_size or weight.shape[1]))
    scales, zeros = clipped_parameters(groups, moments, scheme)
    return round_to(groups, scales, zeros, scheme), scales, zeros
