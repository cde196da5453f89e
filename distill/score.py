"""Figures that a checkpoint is chosen by: PULSE's scoring of hard answers, and the honest ones on probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.metrics import f1_score, hamming_loss, roc_auc_score


def multilabel(truth: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """truth 0/1 [n, k] and probabilities [n, k] -> macro figures: auc (of probabilities), hard_auc (of the answers, as
    ECGBench takes it), f1 and hamming in percent."""
    answer = (probability >= threshold).astype(int)
    return {
        "auc": float(roc_auc_score(truth, probability, average="macro")),
        "hard_auc": 100 * float(roc_auc_score(truth, answer, average="macro")),
        "f1": 100 * float(f1_score(truth, answer, average="macro", zero_division=0)),
        "hamming": 100 * float(hamming_loss(truth, answer)),
    }


def bootstrap(
    figure: Callable[[np.ndarray], float], patients: np.ndarray, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of figure(row indices) when patients, not records, are drawn with replacement: two ECGs of one
    patient are not independent."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])
        values.append(figure(drawn))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
