"""What the decoder answers about a page: probabilities from labels and teachers, and the classes that the trained tower
sees there, each from its own operating point on.

Naming a class when it is likelier than not misses most of the rare ones; F1 wants them named earlier (Lipton et al.
2014, arXiv 1402.1892). The tower's choice is a plain function of what the decoder is shown, so the decoder can learn to
say it (sequence-level distillation, Kim and Rush 2016, arXiv 1606.07947).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score

from distill.features import Features
from distill.targets import softened
from distill.training_set import TrainingSet
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.questions import STATEMENTS, SoftTarget

GRID = np.linspace(0.1, 0.9, 81)


@dataclass(frozen=True)
class SoftTargets:
    """Of the pages of one Features: classes bool [n, 5] to be named; probabilities float [n, k] of the labels."""

    classes: np.ndarray
    probabilities: np.ndarray
    labels: tuple[str, ...]

    def __getitem__(self, item: int) -> SoftTarget:
        named = tuple(name for name, yes in zip(SUPERCLASSES, self.classes[item], strict=True) if yes)
        return SoftTarget(named, dict(zip(self.labels, self.probabilities[item].tolist(), strict=True)))


def soft_targets_of(
    views: Sequence[Features],
    validation: Features,
    head: torch.nn.Linear,
    data: TrainingSet,
    soft: np.ndarray,
    share: float,
    out: Path,
) -> list[SoftTargets]:
    """For each view's pages; soft [n, k]: the teachers' probabilities, of which `share` goes into the targets.

    The operating points are chosen on the validation pages, and written to out/operating_points.json.
    """
    points = operating_points(data.classes(validation.rows), seen_classes(head, validation))
    named = dict(zip(SUPERCLASSES, points.tolist(), strict=True))
    (out / "operating_points.json").write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")
    columns = data.targets.columns
    labels = tuple(name for name in (*SUPERCLASSES, *STATEMENTS) if name in columns)
    mixed = softened(data.targets, soft, share).values[:, [columns[name] for name in labels]]
    return [SoftTargets(chosen(seen_classes(head, view), points), mixed[view.rows], labels) for view in views]


@torch.no_grad()
def seen_classes(head: torch.nn.Linear, features: Features) -> np.ndarray:
    """Probabilities float32 [n, 5] of the superclasses, by the tower's head from the whole-page token."""
    weight, bias = (part[: len(SUPERCLASSES)].float().cpu() for part in (head.weight, head.bias))
    whole = torch.from_numpy(np.asarray(features.tokens[:, 0], np.float32))
    return torch.nn.functional.linear(whole, weight, bias).sigmoid().numpy()


def operating_points(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """The probability [k] from which naming each class serves best; truth 0/1 and probability [n, k].

    Best is F1 less twice the share of wrong answers: around its peak F1 hardly moves, the Hamming loss still does.
    """
    best = []
    for k in range(truth.shape[1]):
        named = [probability[:, k] >= point for point in GRID]
        f1 = [float(f1_score(truth[:, k], yes, zero_division=0)) for yes in named]
        scores = [one - 2 * float(np.mean(truth[:, k] != yes)) for one, yes in zip(f1, named, strict=True)]
        best.append(round(float(np.mean(GRID[np.flatnonzero(np.isclose(scores, max(scores)))])), 3))
    return np.array(best)


def chosen(probability: np.ndarray, points: np.ndarray) -> np.ndarray:
    """bool [n, k]: the classes at or above their points, and where there is none the one closest to it."""
    yes = probability >= points
    nearest = (probability / points).argmax(1)
    yes[np.arange(len(yes)), nearest] |= ~yes.any(1)
    return yes
