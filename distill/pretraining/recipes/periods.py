"""Inter- and intra-period aware pre-training (arXiv 2410.18094, made for atrial fibrillation).

Within a period: two beats of a record are alike in shape, and unlike those of other records. Between periods: how long
the RR intervals are and how much they vary is told from the whole record, so that the rhythm is kept. This is the idea
at a small scale: beats are cut at the delineator's QRS (edge_runtime/waves), and the two losses are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from distill.pretraining.losses import contrast, pooled, projector
from distill.pretraining.marks import FS, KINDS, marks
from distill.pretraining.recipe import Recipe

BEAT, BEFORE = 96, 36  # samples of a beat's window, and those before its QRS
MOST = 32  # beats of ten seconds


@dataclass(frozen=True)
class Periods(Recipe):
    """noise: mV of white noise on each beat, so that a record is not told by its own."""

    noise: float = 0.02

    def prepare(self, signals: np.ndarray, rows: np.ndarray, folder: Path) -> np.ndarray:
        """int16 [n, MOST]: where each QRS begins, -1 behind the last."""
        found = marks(signals, rows, folder)
        onsets = np.full((len(signals), MOST), -1, np.int16)
        for row in rows:
            beats = found[row][found[row][:, 0] == KINDS.index("QRS"), 1][:MOST]
            onsets[row, : len(beats)] = beats
        return onsets

    def batch(self, signal: np.ndarray, targets: np.ndarray | None, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """Signals [N, 12, n], two beats of each [N, 12, BEAT], and rhythm [N, 2]; NaN with fewer than three beats."""
        assert targets is not None
        pairs = [two_beats(one, found[found >= 0], rng) for one, found in zip(signal, targets, strict=True)]
        first, second = (
            np.stack(beats) + (self.noise * rng.standard_normal((len(signal), 1, BEAT))).astype(np.float32)
            for beats in zip(*pairs, strict=True)
        )
        return signal, first, second, np.stack([rhythm(found[found >= 0]) for found in targets])

    def objective(self, encoder: nn.Module, width: int) -> nn.Module:
        """Contrast of beats and error of the rhythm, added."""
        return _Objective(encoder, width)


class _Objective(nn.Module):
    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder, self.shape, self.rhythm = encoder, projector(2 * width), nn.Linear(2 * width, 2)

    def forward(self, whole: Tensor, first: Tensor, second: Tensor, rhythm: Tensor) -> Tensor:
        beats = (self.shape(pooled(self.encoder(one))) for one in (first, second))
        told, known = self.rhythm(pooled(self.encoder(whole))).float(), rhythm.isfinite()
        error = F.smooth_l1_loss(told, rhythm.nan_to_num(), reduction="none")
        return contrast(*beats) + (error * known).sum() / known.sum().clamp(min=1)


def two_beats(signal: np.ndarray, onsets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Windows [12, BEAT] about two beats of a signal [12, n], of different beats where there are two; anywhere without
    a beat."""
    starts = onsets.astype(int) - BEFORE
    starts = starts[(starts >= 0) & (starts + BEAT <= signal.shape[1])]
    if not len(starts):
        starts = rng.integers(0, signal.shape[1] - BEAT + 1, 2)
    a, b = rng.choice(starts, 2, replace=len(starts) < 2)
    return signal[:, a : a + BEAT], signal[:, b : b + BEAT]


def rhythm(onsets: np.ndarray) -> np.ndarray:
    """float32 [2]: log2 of the mean RR interval in seconds, and ten times its coefficient of variation."""
    if len(onsets) < 3:
        return np.full(2, np.nan, np.float32)
    intervals = np.diff(onsets.astype(float)) / FS
    return np.array([np.log2(intervals.mean()), 10 * intervals.std() / intervals.mean()], np.float32)


RECIPE = Periods()
