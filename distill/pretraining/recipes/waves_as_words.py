"""ECGBERT's recipe (arXiv 2306.06340): waves are the words of a sentence, and hidden words are told from the others.

The delineator (edge_runtime/waves) cuts lead II into P, QRS, T and what lies between; k-means clusters each kind's
shapes into words. At this scale the network reads the twelve leads themselves, as in fine-tuning: spans of the samples
are hidden, not tokens, and the words there are told from what the encoder makes of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from distill.pretraining.losses import hidden_positions, without
from distill.pretraining.marks import LEAD, marks
from distill.pretraining.recipe import REDUCTION, Recipe

SHAPE = 16  # samples that a wave is brought to
CELL = 8  # samples of one word's cell: four to a position of the encoder
BETWEEN = 3  # the kind of what is no wave


@dataclass(frozen=True)
class WavesAsWords(Recipe):
    """words: of each kind (P, QRS, T, between). hidden, span: share of positions, and how many together. learned: at
    most so many segments a kind make the vocabulary."""

    words: tuple[int, int, int, int] = (12, 19, 14, 25)
    hidden: float = 0.3
    span: int = 2
    learned: int = 20000

    def prepare(self, signals: np.ndarray, rows: np.ndarray, folder: Path) -> np.ndarray:
        """int16 [n, cells]: the word at each cell of 80 ms."""
        found = marks(signals, rows, folder)
        cut = {int(row): segments(found[row], signals.shape[2]) for row in rows}
        lead = {row: signals[row, LEAD].astype(np.float32) / 1000 for row in cut}
        shapes: list[list[np.ndarray]] = [[] for _ in self.words]
        for row, parts in cut.items():
            for kind, begin, end in parts:
                shapes[kind].append(shape_of(lead[row][begin:end]))
        named = [self._cluster(np.array(each), count) for each, count in zip(shapes, self.words, strict=True)]
        offsets, seen = np.cumsum([0, *self.words[:-1]]), [0] * len(self.words)
        sentences = np.zeros((len(signals), -(-signals.shape[2] // CELL)), np.int16)
        for row, parts in cut.items():
            spoken = np.zeros(signals.shape[2], np.int16)
            for kind, begin, end in parts:
                spoken[begin:end] = offsets[kind] + named[kind][seen[kind]]
                seen[kind] += 1
            sentences[row] = spoken[CELL // 2 :: CELL]
        return sentences

    def _cluster(self, shapes: np.ndarray, count: int) -> np.ndarray:
        """The word of each shape [m, SHAPE + 1]: int [m]."""
        from sklearn.cluster import MiniBatchKMeans

        if not len(shapes):
            return np.zeros(0, int)
        some = shapes[np.random.default_rng(0).permutation(len(shapes))[: self.learned]]
        means = MiniBatchKMeans(min(count, len(some)), random_state=0, n_init=1, batch_size=2048).fit(some)
        return np.asarray(means.predict(shapes))

    def batch(self, signal: np.ndarray, targets: np.ndarray | None, rng: np.random.Generator) -> Sequence[np.ndarray]:
        """Signals with zeros [N, 12, n]; int64 [N, positions, 4], the hidden words, -100 elsewhere."""
        assert targets is not None
        positions, cells = -(-signal.shape[2] // REDUCTION), REDUCTION // CELL
        hidden = hidden_positions(len(signal), positions, self.hidden, self.span, rng)
        full = np.pad(targets.astype(np.int64), ((0, 0), (0, positions * cells - targets.shape[1])), mode="edge")
        words = full.reshape(len(signal), positions, cells)
        return without(signal, hidden), np.where(hidden[..., None], words, -100)

    def objective(self, encoder: nn.Module, width: int) -> nn.Module:
        """Cross-entropy of the hidden words."""
        return _Objective(encoder, width, sum(self.words))


class _Objective(nn.Module):
    def __init__(self, encoder: nn.Module, width: int, words: int):
        super().__init__()
        self.encoder, self.say = encoder, nn.Linear(width, REDUCTION // CELL * words)

    def forward(self, masked: Tensor, words: Tensor) -> Tensor:
        said = self.say(self.encoder(masked).transpose(1, 2)).float()
        return F.cross_entropy(said.reshape(*words.shape, -1).flatten(0, 2), words.flatten())


def segments(waves: np.ndarray, samples: int) -> list[tuple[int, int, int]]:
    """(kind, begin, end) that cover the samples, of one record's marks [MOST, 3]; what lies between waves has the
    kind BETWEEN."""
    found, at = [], 0
    for kind, onset, offset in waves[waves[:, 0] >= 0].tolist():
        begin, end = max(at, onset), min(samples, max(offset, onset + 1))
        if begin >= end:
            continue
        if begin > at:
            found.append((BETWEEN, at, begin))
        found.append((kind, begin, end))
        at = end
    return found if at >= samples else [*found, (BETWEEN, at, samples)]


def shape_of(part: np.ndarray) -> np.ndarray:
    """A segment [k] in mV as float32 [SHAPE + 1]: brought to one length, less its mean; and the length itself, in
    steps of half a second, which says as much as the shape does."""
    at = np.linspace(0, len(part) - 1, SHAPE)
    shape = np.interp(at, np.arange(len(part)), part)
    return np.append(shape - shape.mean(), len(part) / 50).astype(np.float32)


RECIPE = WavesAsWords()
