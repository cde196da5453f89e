"""PulseNet's views (arXiv 2305.15424): random policies of changes, and a wavelet decomposition, here for contrast.

The paper trains with labels, on scalograms of dogs' lead II. Here the same two ideas make the views of SimCLR (arXiv
2002.05709): a policy is RandAugment's (arXiv 1909.13719), so many operations drawn at random, all of one magnitude; the
wavelet is the undecimated spline one ("a trous"), whose bands add up to the signal, and a view scales each band, for
the network reads samples, as in fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from distill.pretraining.losses import contrast, pooled, projector
from distill.pretraining.recipe import Recipe

_SPLINE = np.array([1, 4, 6, 4, 1], np.float32) / 16


@dataclass(frozen=True)
class Augmented(Recipe):
    """operations: of a policy. magnitude: 0 to 1. bands: of the wavelet decomposition, besides what is left."""

    operations: int = 2
    magnitude: float = 0.5
    bands: int = 4

    def batch(self, signal: np.ndarray, targets: np.ndarray | None, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """Two views [N, 12, n], each by a policy of its own a record and by gains of its bands."""
        return self.view(signal, rng), self.view(signal, rng)

    def view(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """float32 [N, 12, n]."""
        out = np.stack([policy(one, self.operations, self.magnitude, rng) for one in signal])
        gains = rng.uniform(1 - self.magnitude, 1 + self.magnitude, (self.bands + 1, len(out), 1, 1))
        return np.asarray((wavelet_bands(out, self.bands) * gains).sum(0), np.float32)

    def objective(self, encoder: nn.Module, width: int) -> nn.Module:
        """SimCLR's."""
        return _Objective(encoder, width)


class _Objective(nn.Module):
    def __init__(self, encoder: nn.Module, width: int):
        super().__init__()
        self.encoder, self.project = encoder, projector(2 * width)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return contrast(*(self.project(pooled(self.encoder(view))) for view in (a, b)))


def policy(signal: np.ndarray, count: int, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    """signal [leads, n] after `count` different operations of one magnitude."""
    for k in rng.choice(len(OPERATIONS), count, replace=False):
        signal = OPERATIONS[k](signal, magnitude, rng)
    return signal


def wavelet_bands(signal: np.ndarray, bands: int) -> np.ndarray:
    """[bands + 1, ..., n]: details from fine to coarse, then what is left; their sum is the signal."""
    found, smooth = [], signal
    for band in range(bands):
        step = 2**band
        reach = 2 * step
        padded = np.pad(smooth, [(0, 0)] * (smooth.ndim - 1) + [(reach, reach)], mode="reflect")
        size = smooth.shape[-1]
        coarser = sum(weight * padded[..., k * step : k * step + size] for k, weight in enumerate(_SPLINE))
        found.append(smooth - coarser)
        smooth = np.asarray(coarser)
    return np.stack([*found, smooth])


def _gain(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    return signal * np.float32(rng.uniform(1 - magnitude / 2, 1 + magnitude / 2))


def _noise(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    return signal + (0.1 * magnitude * rng.standard_normal(signal.shape)).astype(np.float32)


def _wander(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    turns = rng.uniform(0.1, 0.4) * np.arange(signal.shape[1]) / 100 + rng.random((len(signal), 1))
    return signal + (0.3 * magnitude * np.sin(2 * np.pi * turns)).astype(np.float32)


def _shift(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    reach = int(magnitude * signal.shape[1] / 2)
    return np.roll(signal, int(rng.integers(-reach, reach + 1)), axis=1)


def _cut(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    length = int(magnitude * signal.shape[1] / 2)
    begin = int(rng.integers(0, signal.shape[1] - length + 1))
    out = signal.copy()
    out[:, begin : begin + length] = 0
    return out


def _leads(signal: np.ndarray, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    kept = rng.random((len(signal), 1)) >= magnitude
    kept[rng.integers(0, len(signal))] = True
    return signal * kept


Operation = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
OPERATIONS: tuple[Operation, ...] = (_gain, _noise, _wander, _shift, _cut, _leads)

RECIPE = Augmented()
