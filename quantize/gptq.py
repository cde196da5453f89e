"""GPTQ (Frantar et al. 2022, arXiv 2210.17323): columns are rounded one after the other, and what each rounding costs
is made good in the columns that are still to come, by the second moments of the layer's inputs.

Scales are chosen before, group by group, and the columns that matter most go first ("activation order, static groups"):
so the layout stays that of any other checkpoint, without a table of which column belongs to which group.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quantize.integers import IntWeight, grouped
from quantize.scale_search import clipped_parameters
from quantize.scheme import Scheme

DAMPING = 0.01  # of the mean second moment, the paper's
_BLOCK = 128  # columns whose effect on all later ones is applied at once


def gptq(weight: Tensor, moments: Tensor, scheme: Scheme) -> IntWeight:
    """weight [N, K] and the second moments float32 [K, K] of its inputs -> integers in the scheme's layout.

    Raises ValueError as quantize.integers.quantize.
    """
    groups = grouped(weight, scheme)
    scales, zeros = clipped_parameters(groups, moments, scheme)  # [N, G]
    size = groups.shape[2]
    order, inverse = _inverse(moments)

    rest = weight.detach().float()[:, order]
    codes = torch.empty(rest.shape, dtype=torch.int8)
    for start in range(0, rest.shape[1], _BLOCK):
        stop = min(start + _BLOCK, rest.shape[1])
        errors = torch.zeros(len(rest), stop - start)
        for k in range(start, stop):
            group = int(order[k]) // size
            scale, zero = scales[:, group].float(), zeros[:, group]
            column = (rest[:, k] / scale + zero).round().clamp(*scheme.codes)
            codes[:, order[k]] = column.to(torch.int8)
            errors[:, k - start] = (rest[:, k] - (column - zero) * scale) / inverse[k, k]
            rest[:, k:stop] -= errors[:, k - start, None] * inverse[k, k:stop]
        rest[:, stop:] -= errors @ inverse[start:stop, stop:]
    return IntWeight(codes, scales, None if scheme.symmetric else zeros.to(torch.int8), scheme.bits)


def _inverse(moments: Tensor) -> tuple[Tensor, Tensor]:
    """The order of the columns [K], and Cholesky's upper factor float32 [K, K] of the inverse of the damped moments.

    For 11,008 inputs such a matrix is 1 GB in float64, so no more of them than two live at a time.
    """
    diagonal = moments.diagonal()
    dead = diagonal == 0  # inputs that were never anything but 0
    order = (diagonal + dead).argsort(descending=True)
    damped = moments[order].double()
    for start in range(0, len(damped), _BLOCK):  # columns too, without a second matrix, and without a view that stays
        damped[start : start + _BLOCK] = damped[start : start + _BLOCK, order]
    damped.diagonal().add_(dead[order])
    damped.diagonal().add_(DAMPING * damped.diagonal().mean())
    factor = torch.linalg.cholesky(damped)
    del damped
    inverse = torch.cholesky_inverse(factor)
    del factor
    return order, torch.linalg.cholesky(inverse, upper=True).float()
