"""What several recipes share: contrast within a batch, pooling, and spans that are hidden."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.pretraining.recipe import REDUCTION

TEMPERATURE = 0.1


def contrast(a: Tensor, b: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """NT-Xent [] (SimCLR, arXiv 2002.05709) of two views [N, width]: the others of both views are the negatives."""
    both = F.normalize(torch.cat([a, b]).float(), dim=1)
    likeness = both @ both.T / temperature
    likeness = likeness.masked_fill(torch.eye(len(both), dtype=torch.bool, device=both.device), float("-inf"))
    partner = torch.arange(len(both), device=both.device).roll(len(a))
    return F.cross_entropy(likeness, partner)


def pooled(seen: Tensor) -> Tensor:
    """[N, width, positions] -> [N, 2 width], as the fine-tuned network pools: mean and maximum."""
    return torch.cat([seen.mean(2), seen.amax(2)], dim=1)


def projector(width: int, out: int = 64) -> nn.Sequential:
    """Two layers that only pre-training uses (arXiv 2002.05709, section 4.2)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


def hidden_positions(count: int, positions: int, share: float, span: int, rng: np.random.Generator) -> np.ndarray:
    """bool [count, positions]: spans begun at random until about `share` is hidden; each row hides one at least."""
    starts = rng.random((count, positions)) < -np.log1p(-share) / span
    starts[np.arange(count), rng.integers(0, positions, count)] = True
    hidden = starts.copy()
    for step in range(1, span):
        hidden[:, step:] |= starts[:, :-step]
    return hidden


def without(signal: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """signal [N, 12, n] with zeros where a position of REDUCTION samples is hidden [N, positions]."""
    there = ~np.repeat(hidden, REDUCTION, axis=1)[:, : signal.shape[2]]
    return np.asarray(signal * there[:, None], np.float32)
