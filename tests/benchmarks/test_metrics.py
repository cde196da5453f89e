"""Figures of multi-label answers, held against scikit-learn's and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from benchmarks.metrics.score import auc, bootstrap, calibration_error, hard_figures, macro_auc


def test_figures_are_scikit_learns() -> None:
    """Random answers and scores with ties, classes that nobody has and classes that nobody names included."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(2, 40))
        truth, answer = rng.integers(0, 2, (n, 4)), rng.integers(0, 2, (n, 4))
        truth[:, 0] = answer[:, 1] = 0
        answer[:, 3] &= truth[:, 0]
        found = hard_figures(truth, answer)
        assert found["f1"] == pytest.approx(100 * metrics.f1_score(truth, answer, average="macro", zero_division=0))
        assert found["hamming"] == pytest.approx(100 * metrics.hamming_loss(truth, answer))
        score = rng.integers(0, 6, n) / 5
        for k in range(4):
            if 0 < truth[:, k].sum() < n:
                assert auc(truth[:, k], score) == pytest.approx(metrics.roc_auc_score(truth[:, k], score))
                assert auc(truth[:, k], answer[:, k]) == pytest.approx(metrics.roc_auc_score(truth[:, k], answer[:, k]))


def test_hard_figures_by_hand() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    answer = np.array([[1, 0], [0, 1], [0, 1], [0, 1]])
    figures = hard_figures(truth, answer)
    assert figures["hamming"] == pytest.approx(25.0)  # 2 of 8
    assert figures["f1"] == pytest.approx(100 * (2 / 3 + 4 / 5) / 2)
    assert figures["hard_auc"] == pytest.approx(
        100 * ((0.5 + 1) / 2 + (1 + 0.5) / 2) / 2
    )  # mean of sensitivity, specificity


def test_auc_of_a_class_without_records_is_not_a_number() -> None:
    assert np.isnan(auc(np.zeros(3, int), np.arange(3)))
    truth = np.array([[1, 0], [0, 0]])
    assert macro_auc(truth, np.array([[0.9, 0.1], [0.2, 0.3]])) == 1.0
    assert np.isnan(macro_auc(np.zeros((2, 2), int), np.zeros((2, 2))))


def test_calibration_error_by_hand() -> None:
    truth, probability = np.array([0, 1, 1, 1]), np.array([0.05, 0.05, 0.95, 1.0])
    # first bin: 2 records, mean 0.05 against 0.5; last: 2 records, 0.975 against 1
    assert calibration_error(truth, probability) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)


def test_bootstrap_draws_patients_not_records() -> None:
    """100 copies of one patient's record are one piece of evidence: the interval spans what two patients can give."""
    values = np.array([1.0] * 100 + [0.0])
    patients = np.array([7] * 100 + [8])
    low, high = bootstrap(lambda rows: float(values[rows].mean()), patients, rounds=200)
    assert (low, high) == (0.0, 1.0)
    spread = bootstrap(lambda rows: float(values[rows].mean()), np.arange(101), rounds=200)
    assert spread[1] - spread[0] < 0.1
