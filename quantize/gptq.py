"""GPTQ (Frantar et al. 2022, arXiv 2210.17323): columns are rounded one after the other, and what each rounding costs
is made good in the columns that are still to come, by the second moments of the layer's inputs.

Scales are chosen before, group by group, and the columns that matter most go first ("activation order, static groups"):
so the layout stays that of any other checkpoint, without a table of which column belongs to which group.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantize.clip import clipped_parameters
from quantize.integers import IntWeight, Scheme, grouped

DAMPING = 0.01  # of the mean second moment, the paper's
_BLOCK = 128  # columns whose effect on all later ones is applied at once


def gptq(weight: Tensor, moments: Tensor, scheme: Scheme) -> IntWeight:
    """weight [N, K] and the second moments float32 [K, K] of its inputs -> integers in the scheme's layout.

    Raises ValueError as quantize.integers.quantize.
    """
    groups = grouped(weight, scheme)
    scales, zeros = clipped_parameters(groups, moments, scheme)  # [N, G]
    size = groups.shape[2]
    moments = moments.double()
    dead = moments.diagonal() == 0  # inputs that were never anything but 0
    moments = moments + torch.diag(dead.double())
    order = moments.diagonal().argsort(descending=True)
    moments = moments[order][:, order]
    moments += DAMPING * moments.diagonal().mean() * torch.eye(len(moments), dtype=torch.float64)
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments)), upper=True).float()

    rest = weight.detach().float()[:, order].clone()
    column_scales = scales.float()[:, order // size]
    column_zeros = zeros[:, order // size]
    codes = torch.empty_like(rest)
    for start in range(0, rest.shape[1], _BLOCK):
        stop = min(start + _BLOCK, rest.shape[1])
        errors = torch.zeros(len(rest), stop - start)
        for k in range(start, stop):
            scale, zero = column_scales[:, k], column_zeros[:, k]
            codes[:, k] = (rest[:, k] / scale + zero).round().clamp(*scheme.codes)
            errors[:, k - start] = (rest[:, k] - (codes[:, k] - zero) * scale) / inverse[k, k]
            rest[:, k:stop] -= errors[:, k - start, None] * inverse[k, k:stop]
        rest[:, stop:] -= errors @ inverse[start:stop, stop:]
    codes = codes[:, order.argsort()].to(torch.int8)
    return IntWeight(codes, scales, None if scheme.symmetric else zeros.to(torch.int8), scheme.bits)
