"""The embedding of pages and that of reports, trained together: a page lies where its report lies.

Contrastive both ways (Radford et al. 2021, arXiv 2103.00020; for ECGs Qiu et al. 2023, arXiv 2304.06286). A share of
each target goes to the batch's other records by how many labels they have in common, and so does a third loss, between
pages alone (Khosla et al. 2020, arXiv 2004.11362): the neighbours of a page are to be cases like it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.retrieval.data import Records, Seen, Words


@dataclass(frozen=True)
class Settings:
    """soft: share of a target that goes by labels. temperature: of the loss between pages."""

    steps: int = 600
    batch: int = 512
    peak: float = 2e-3  # of the learning rate
    decay: float = 0.05
    hidden: int = 256
    width: int = 96
    dropout: float = 0.3
    soft: float = 0.5
    temperature: float = 0.2
    seed: int = 0


class Embedding(nn.Module):
    """Pooled values float32 [n, 2 D] and bags of words to unit vectors [n, width]."""

    def __init__(self, seen: Seen, words: int, settings: Settings) -> None:
        super().__init__()
        self.mean = torch.from_numpy(seen.pooled.mean(0))
        self.scale = torch.from_numpy(seen.pooled.std(0) + 1e-3)
        self.first = nn.Linear(len(self.mean), settings.hidden)
        self.second = nn.Linear(settings.hidden, settings.width)
        self.drop = nn.Dropout(settings.dropout)
        self.words = nn.EmbeddingBag(words, 192, mode="mean")
        self.last = nn.Linear(192, settings.width)
        self.log_scale = nn.Parameter(torch.tensor(np.log(10.0), dtype=torch.float32))

    def pages(self, pooled: Tensor) -> Tensor:
        hidden = F.relu(self.first(self.drop((pooled - self.mean) / self.scale)))
        return F.normalize(self.second(self.drop(hidden)), dim=-1)

    def reports(self, bags: list[list[int]]) -> Tensor:
        starts = torch.tensor(np.cumsum([0, *(len(bag) for bag in bags[:-1])]))
        return F.normalize(
            self.last(F.relu(self.words(torch.tensor([n for bag in bags for n in bag]), starts))), dim=-1
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The network of pages as edge_runtime.similar runs it: float16."""
        layers = {"w1": self.first.weight.T, "b1": self.first.bias, "w2": self.second.weight.T, "b2": self.second.bias}
        parts = {"mean": self.mean, "scale": self.scale, **layers}
        return {name: part.detach().numpy().astype(np.float16) for name, part in parts.items()}


def train(seen: Seen, records: Records, words: Words, settings: Settings) -> Embedding:
    """A function of what it is given and the seed."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    net = Embedding(seen, len(words), settings)
    optimizer = torch.optim.AdamW(net.parameters(), settings.peak, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.peak, settings.steps, pct_start=0.1)
    bags = words(records.reports)
    for _ in range(settings.steps):
        batch = rng.integers(0, len(seen.rows), settings.batch)
        rows = seen.rows[batch]
        pages = net.pages(torch.from_numpy(seen.pooled[batch]))
        found = _loss(pages, net.reports([bags[row] for row in rows]), net.log_scale, rows, records, settings)
        optimizer.zero_grad()
        found.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def _loss(
    pages: Tensor, reports: Tensor, log_scale: Tensor, rows: np.ndarray, records: Records, settings: Settings
) -> Tensor:
    own = torch.from_numpy(rows[:, None] == rows).float()
    alike = (_common(records.classes[rows]) + _common(records.statements[rows])) ** 2
    wanted = (1 - settings.soft) * _shares(own) + settings.soft * _shares(alike)
    scores = log_scale.exp().clamp(max=50) * pages @ reports.T
    across = -(wanted * F.log_softmax(scores, 1)).sum(1) - (wanted * F.log_softmax(scores.T, 1)).sum(1)
    others = 1 - torch.eye(len(rows))
    within = pages @ pages.T / settings.temperature - 1e4 * (1 - others)
    return (across - (_shares(alike * others) * F.log_softmax(within, 1)).sum(1)).mean()


def _common(labels: np.ndarray) -> Tensor:
    """The share of all labels of two records that both have (Jaccard), float32 [n, n]; 0 where neither has one."""
    there = torch.from_numpy(labels).float()
    both = there @ there.T
    either = there.sum(1)[:, None] + there.sum(1) - both
    return both / either.clamp(min=1)


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-6)
