"""What the training measures of itself: figures of the superclasses on the validation fold, for its logs.

scikit-learn's figures; intervals and the figures of a bundle's answers are benchmarks'.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import f1_score, hamming_loss, roc_auc_score

FIGURES = ("auc", "hard_auc", "f1", "hamming")


def figures(truth: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """truth 0/1 [n, k] and probabilities [n, k] -> FIGURES, macro over the k classes: "auc" of the probabilities, and
    of the answers at 0.5, in percent, "hard_auc", "f1" and "hamming" as PULSE scores them (arXiv 2410.19008)."""
    answer = (probability >= 0.5).astype(int)
    return {
        "auc": macro_auc(truth, probability),
        "hard_auc": 100 * macro_auc(truth, answer),
        "f1": 100 * float(f1_score(truth, answer, average="macro", zero_division=0)),
        "hamming": 100 * float(hamming_loss(truth, answer)),
    }


def in_words(found: Mapping[str, float]) -> str:
    """Figures on one line."""
    return "  ".join(f"{name} {value:.3f}" for name, value in found.items())


def macro_auc(truth: np.ndarray, score: np.ndarray) -> float:
    """Mean area under the ROC curve of the classes that have both kinds of record; NaN when none has."""
    known = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    return float(np.mean([roc_auc_score(truth[:, k], score[:, k]) for k in known])) if known else float("nan")
