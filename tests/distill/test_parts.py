"""The parts of the training: schedule, average, targets, lessons, and the figures of the validation fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.features import Features
from distill.lessons import Lessons
from distill.loop import Average, learning_rate
from distill.pages import Shown
from distill.targets import build_targets
from distill.tokens import rare_codes
from distill.validation import FIGURES, figures
from pulse.instruct.questions import SUPERCLASS


def test_learning_rate_rises_then_falls_to_zero() -> None:
    assert learning_rate(0.05, 2.0) == pytest.approx(2.0)
    assert learning_rate(0.025, 2.0) == pytest.approx(1.0, rel=0.05)
    assert learning_rate(1.0, 2.0) == pytest.approx(0, abs=1e-12)


def test_average_follows_the_model_and_copies_counters() -> None:
    model = torch.nn.BatchNorm1d(1)
    average = Average(model, decay=0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.num_batches_tracked.fill_(7)
    average.update(model)
    assert average.state["weight"].item() == pytest.approx(3 - 2 * (1 / 11))
    assert average.state["num_batches_tracked"].item() == 7


def test_lessons_do_not_say_what_hardly_any_record_has(dataset: DatasetCache) -> None:
    labels = [{"scp_codes": {"SR": 0.0, "PMI": 100.0}}] + 2 * [{"scp_codes": {"SR": 0.0, "IMI": 100.0}}]
    crowd = replace(dataset, labels=labels + 1197 * [{"scp_codes": {"SR": 0.0}}])
    assert rare_codes(crowd, np.arange(1200)) == {"PMI"}  # 1 in 1,200; IMI is just 1 in 600
    assert rare_codes(crowd, np.arange(600)) == set()
    row = next(r for r, label in enumerate(dataset.labels) if "CLBBB" in label["scp_codes"])
    page = Features(np.zeros((1, 2, 4), np.float16), np.array([row]), np.array([Shown.UPRIGHT]))
    said = {}
    for unsaid in (frozenset[str](), frozenset({"CLBBB"})):
        lessons = Lessons(dataset, [page], None, None, Path(), unsaid=unsaid)  # type: ignore[arg-type]
        said[unsaid] = [turn for dialogue in lessons.dialogues(1, 0, 0) for turn in dialogue]
    reports = [turns[0].answer for turns in said.values()]
    assert ["bundle branch block" in report for report in reports] == [True, False]
    classes = [next(turn.answer for turn in turns if turn.question == SUPERCLASS[0]) for turns in said.values()]
    assert classes[0] == classes[1]
    assert "CD" in classes[1]


def test_targets_hold_the_labels(dataset: DatasetCache) -> None:
    targets = build_targets(dataset, dataset.rows((1,)))
    row = next(r for r, label in enumerate(dataset.labels) if "CLBBB" in label["scp_codes"])
    on = {name for name, value in zip(targets.names, targets.values[row], strict=True) if value == 1}
    assert {"CD", "scp:CLBBB", "scp:PVC", "axis:ALAD", "is_ecg"} <= on
    assert "NORM" not in on
    unknown = next(r for r, label in enumerate(dataset.labels) if not label["heart_axis"])
    axes = [k for k, name in enumerate(targets.names) if name.startswith("axis:")]
    assert np.isnan(targets.values[unknown, axes]).all()
    rate = dataset.labels[row]["heart_rate"]
    assert 70 * 2 ** (targets.rate[row] / 2) == pytest.approx(rate)


def test_validation_figures_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    found = figures(truth, np.array([[0.9, 0.1, 0.1], [0.3, 0.5, 0.1], [0.2, 0.9, 0.1], [0.1, 0.8, 0.1]]))
    assert tuple(found) == FIGURES
    assert found["auc"] == pytest.approx((1 + (1 + 1 + 0 + 1) / 4) / 2)  # the third class has one kind of record
    assert found["hamming"] == pytest.approx(100 * 2 / 12)
    assert found["f1"] == pytest.approx(100 * (2 / 3 + 4 / 5 + 0) / 3)
    assert found["hard_auc"] == pytest.approx(100 * (0.75 + 0.75) / 2)  # mean of sensitivity and specificity
    assert np.isnan(figures(truth * 0, np.zeros((4, 3)))["auc"])
