from __future__ import annotations

import numpy as np
import pytest

from benchmarks.verbs._fewshot import Pool, as_text, figures
from edge_runtime.learnt import Background

CENTRES = np.eye(2, 8) * 3


def drawn(truth: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(truth), 8)) + truth @ CENTRES


@pytest.fixture(scope="module")
def pool() -> Pool:
    nothing, each = np.zeros((300, 2), int), np.repeat(np.eye(2, dtype=int), 30, 0)
    test = np.concatenate([each, nothing])
    background = Background.of(drawn(nothing, 0), "m")
    return Pool(("A", "B"), background, drawn(each, 1), each, drawn(nothing, 2), drawn(test, 3), test)


def test_more_shots_are_better_and_two_classes_are_told_apart(pool: Pool):
    found = figures(pool, (1, 20), 8)
    one, many = (row for row in found["rows"] if row["negatives"] == 0)
    assert one["mean_auc"][0] < many["mean_auc"][0]
    assert many["auc"]["A"][0] > 0.95
    assert many["accuracy"][0] > 0.9
    assert many["auc"]["A"][1] <= many["auc"]["A"][0] <= many["auc"]["A"][2]
    assert found["test_positives"] == [30, 30]
    assert found == figures(pool, (1, 20), 8)
    assert "2-way, 8 draws" in as_text(found)


def test_shuffled_truth_is_chance(pool: Pool):
    shuffled = np.random.default_rng(4).permutation(pool.test_truth)
    other = Pool(
        *(pool.statements, pool.background, pool.examples, pool.examples_truth, pool.others, pool.test), shuffled
    )
    [row, _] = figures(other, (10,), 8)["rows"]
    assert 0.35 < row["mean_auc"][0] < 0.65
    assert 0.3 < row["accuracy"][0] < 0.7
