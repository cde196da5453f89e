"""A head for a tower that stays as it began: fitted on what the tower saw of the pages, without drawing them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.features import Features
from distill.loop import Log
from distill.pages import Shown
from distill.soft_targets import seen_classes
from distill.targets import softened
from distill.training_set import TrainingSet
from distill.validation import figures
from pulse.ecg.ptbxl import SUPERCLASSES

_DECAY = 1e-4  # of the weights, against a mean cross-entropy
_STEPS = 200


def fit_head(
    head: nn.Linear, views: Sequence[Features], data: TrainingSet, soft: np.ndarray | None, share: float
) -> None:
    """Fit the head's superclasses by logistic regression on the whole-page tokens of the upright pages; its other rows,
    which nothing reads, become zero. soft [n, k]: the teachers' probabilities, of which `share` goes into the targets.
    """
    targets = data.targets if soft is None else softened(data.targets, soft, share)
    count, tokens, wished = len(SUPERCLASSES), [], []
    for view in views:
        upright = np.flatnonzero(np.asarray(view.shown) == Shown.UPRIGHT)
        tokens.append(np.asarray(view.tokens[:, 0], np.float32)[upright])
        wished.append(targets.values[view.rows[upright], :count])
    x, y = (torch.from_numpy(np.concatenate(parts)) for parts in (tokens, wished))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    weight = torch.zeros(count, x.shape[1], requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    scaled = (x - mean) / deviation
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        error = F.binary_cross_entropy_with_logits(F.linear(scaled, weight, bias), y) + _DECAY * (weight**2).sum()
        error.backward()
        return error

    optimizer.step(loss)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[:count] = weight / deviation
        head.bias[:count] = bias - (weight / deviation) @ mean


def log_head(head: nn.Linear, validation: Features, data: TrainingSet, out: Path) -> None:
    """Write the head's figures on the validation pages into out/tower.csv, as those of an epoch 0."""
    path = out / "tower.csv"
    if not path.exists():
        found = figures(data.classes(validation.rows), seen_classes(head, validation))
        Log(path).write({"epoch": 0, "step": 0, "loss": float("nan"), **found})
