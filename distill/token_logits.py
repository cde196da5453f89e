"""A teacher's logits at the tokens of the student's answers, and the loss that learns from them.

Its likeliest tokens are kept, with the log-probability of each, and all others count as one: the student's loss is the
Kullback-Leibler divergence between the two distributions over these (Hinton et al. 2015, arXiv 1503.02531; with the
tail as one class it is a lower bound of the whole, by the log-sum inequality).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOP = 16  # tokens kept of a vocabulary of a thousand
_TINY = 1e-6


@dataclass(frozen=True)
class TokenLogits:
    """ids int64 and logs float32 [N, TOP]: a teacher's likeliest tokens and their log-probabilities, at N positions."""

    ids: Tensor
    logs: Tensor

    def to(self, device: torch.device) -> TokenLogits:
        """The same on that device."""
        return TokenLogits(self.ids.to(device), self.logs.to(device))


def top_logits(logits: Tensor) -> TokenLogits:
    """From a teacher's logits [N, V]."""
    logs, ids = logits.float().log_softmax(-1).topk(min(TOP, logits.shape[-1]))
    return TokenLogits(ids, logs)


def divergence(logits: Tensor, teacher: TokenLogits) -> Tensor:
    """Kullback-Leibler divergence [N] of the student's distribution, logits [N, V], from the teacher's."""
    ours = logits.float().log_softmax(-1).gather(-1, teacher.ids)
    theirs, p = teacher.logs, teacher.logs.exp()
    ours_rest, theirs_rest = ((1 - each.exp().sum(-1)).clamp(min=_TINY) for each in (ours, theirs))
    return (p * (theirs - ours)).sum(-1) + theirs_rest * (theirs_rest.log() - ours_rest.log())
