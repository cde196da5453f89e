"""Figures of a multi-label answer: PULSE's scoring of hard answers, the honest ones on probabilities, and intervals.

Hard answers as ECGBench takes them (PULSE, arXiv 2410.19008): macro F1, macro AUC of the 0/1 answers, Hamming loss.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.metrics import f1_score, hamming_loss, roc_auc_score


def hard_figures(truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """truth and answer 0/1 [n, k] -> hard_auc, f1 and hamming, in percent, macro over the k classes."""
    return {
        "hard_auc": 100 * macro_auc(truth, answer),
        "f1": 100 * float(f1_score(truth, answer, average="macro", zero_division=0)),
        "hamming": 100 * float(hamming_loss(truth, answer)),
    }


def macro_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean area under the ROC curve of the classes that have both kinds of record; NaN when none has."""
    areas = [auc(truth[:, k], score[:, k]) for k in range(truth.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, truth 0/1 [n]; NaN without both kinds of record."""
    return float(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else float("nan")


def multilabel(truth: np.ndarray, probability: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    """truth 0/1 [n, k] and probabilities [n, k] -> auc of the probabilities, and hard_figures at the threshold."""
    return {"auc": macro_auc(truth, probability), **hard_figures(truth, (probability >= threshold).astype(int))}


def calibration_error(truth: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over equally wide bins (Guo et al. 2017, arXiv 1706.04599); truth 0/1, any shape."""
    truth, probability = truth.ravel(), probability.ravel()
    at = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [abs(float((probability[at == b] - truth[at == b]).sum())) for b in range(bins)]
    return sum(gaps) / len(truth)


def bootstrap(
    figure: Callable[[np.ndarray], float], patients: np.ndarray, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of figure(row indices) when patients, not records, are drawn with replacement: two ECGs of one
    patient are not independent. Rounds in which the figure is NaN do not count."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    values = []
    for _ in range(rounds):
        drawn = np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])
        values.append(figure(drawn))
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
