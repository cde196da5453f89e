"""ECG-FM's recipe (arXiv 2408.05178): wav2vec 2.0 with contrastive segments of a record, and leads masked at random.

Adjacent halves of a record are alike (CMSC, arXiv 2005.13249); what is hidden in a half is told from the other
positions of the same half (wav2vec 2.0, arXiv 2006.11477). At this scale the targets are the encoder's own outputs for
the whole half, not quantized, and no transformer lies on top: the encoder's receptive field spans the hidden parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.pretraining.losses import TEMPERATURE, contrast, hidden_positions, pooled, projector, without
from distill.pretraining.recipe import REDUCTION, Recipe


@dataclass(frozen=True)
class Wav2vec(Recipe):
    """hidden: share of the positions. span: positions hidden together. leads_masked: chance of each lead to be zero."""

    hidden: float = 0.4
    span: int = 2
    leads_masked: float = 0.5

    def batch(self, signal: np.ndarray, targets: np.ndarray | None, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """Halves [2N, 12, 500] with zeros, whole halves, and bool [2N, positions], what is hidden."""
        half = signal.shape[2] // 2
        whole = np.concatenate([signal[:, :, :half], signal[:, :, half : 2 * half]])
        kept = rng.random((len(whole), signal.shape[1])) >= self.leads_masked
        kept[np.arange(len(whole)), rng.integers(0, signal.shape[1], len(whole))] = True
        hidden = hidden_positions(len(whole), -(-half // REDUCTION), self.hidden, self.span, rng)
        return without(whole * kept[..., None], hidden), whole, hidden

    def objective(self, encoder: nn.Module, width: int) -> nn.Module:
        """Both contrasts, added."""
        return _Objective(encoder, width)


class _Objective(nn.Module):
    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder, self.segment = encoder, projector(2 * width)
        self.predict, self.target = projector(width), nn.Linear(width, 64)

    def forward(self, masked: Tensor, whole: Tensor, hidden: Tensor) -> Tensor:
        seen = self.encoder(masked)
        with torch.no_grad():
            known = self.encoder(whole)
        halves = self.segment(pooled(seen)).chunk(2)
        told = F.normalize(self.predict(seen.transpose(1, 2)).float(), dim=2)
        wanted = F.normalize(self.target(known.transpose(1, 2)).float(), dim=2)
        likeness = told @ wanted.transpose(1, 2) / TEMPERATURE  # [2N, positions, positions of the same half]
        each = torch.arange(hidden.shape[1], device=hidden.device).expand(hidden.shape)
        return contrast(*halves) + F.cross_entropy(likeness[hidden], each[hidden])


RECIPE = Wav2vec()
