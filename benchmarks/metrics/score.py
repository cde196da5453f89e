"""Figures of a multi-label answer: PULSE's scoring of hard answers, the honest ones on probabilities, and intervals.

Hard answers as ECGBench takes them (PULSE, arXiv 2410.19008): macro F1, macro AUC of the 0/1 answers, Hamming loss.
An interval needs each figure a thousand times, and scikit-learn's checks of its arguments take fifty times as long as
these sums; the tests hold every figure against scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np


def hard_figures(truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """truth and answer 0/1 [n, k] -> hard_auc, f1 and hamming, in percent, macro over the k classes."""
    return {
        "hard_auc": 100 * macro_auc(truth, answer),
        "f1": 100 * float(np.mean([f1(truth[:, k], answer[:, k]) for k in range(truth.shape[1])])),
        "hamming": 100 * float(np.mean(truth != answer)),
    }


def f1(truth: np.ndarray, answer: np.ndarray) -> float:
    """F1 of 0/1 answers [n] to 0/1 truth [n]; 0 where there is nothing to find and nothing was said."""
    both, either = int((truth & answer).sum()), int(truth.sum() + answer.sum())
    return 2 * both / either if either else 0.0


def macro_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean area under the ROC curve of the classes that have both kinds of record; NaN when none has."""
    areas = [auc(truth[:, k], score[:, k]) for k in range(truth.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, truth 0/1 [n]; NaN without both kinds of record."""
    yes = int(truth.sum())
    no = len(truth) - yes
    if not yes or not no:
        return float("nan")
    from scipy.stats import rankdata

    # The share of pairs in the right order, ties half (Mann and Whitney 1947), from the ranks of the one kind.
    return float(rankdata(score)[truth == 1].sum() - yes * (yes + 1) / 2) / (yes * no)


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
    values = [figure(drawn) for drawn in draws(patients, rounds, seed)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def draws(patients: np.ndarray, rounds: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Row indices of so many samples, patients [n] drawn with replacement, each with all of their rows."""
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    for _ in range(rounds):
        yield np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])
