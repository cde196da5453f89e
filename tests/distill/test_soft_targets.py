"""What the decoder learns to answer: operating points by hand, a class for every page, yes as often as it is likely."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.features import Features
from distill.soft_targets import SoftTargets, chosen, operating_points, soft_targets_of
from distill.training_set import TrainingSet
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.facts import Facts
from pulse.instruct.questions import NO, SUPERCLASS, YES, SoftTarget, finding_question, training_turns


def test_the_point_is_where_f1_is_best_and_errors_are_few() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0]]).T
    probability = np.array([[0.9, 0.35, 0.30, 0.20, 0.15, 0.1]]).T
    # From just above 0.20 to 0.30 all are kept apart: the middle of that.
    assert operating_points(truth, probability) == pytest.approx([0.255], abs=0.006)


def test_errors_count_twice_what_f1_does() -> None:
    # At 0.1 all four are found and four named wrongly, at 0.8 two are missed: F1 is 2/3 at both.
    truth = np.array([[1, 1, 0, 0, 0, 0, 1, 1] + [0] * 4]).T
    probability = np.array([[0.9, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1] + [0.05] * 4]).T
    (point,) = operating_points(truth, probability)
    assert 0.5 < point < 0.9


def test_every_page_gets_a_class() -> None:
    points = np.array([0.5, 0.2])
    yes = chosen(np.array([[0.6, 0.1], [0.6, 0.3], [0.3, 0.15], [0.4, 0.1]]), points)
    assert yes.tolist() == [[True, False], [True, True], [False, True], [True, False]]


def test_soft_targets_are_the_heads_classes_and_the_mixed_probabilities(
    training_set: TrainingSet, tmp_path: Path
) -> None:
    train, targets = training_set.train, training_set.targets
    half = np.full(targets.values.shape, 0.5, np.float32)
    classes = len(SUPERCLASSES)
    assert "scp:NORM" in targets.names
    assert [targets.columns[name] for name in SUPERCLASSES] == list(range(classes))  # NORM is also the name of a code
    head = torch.nn.Linear(classes, len(targets.names) + 1)
    with torch.no_grad():  # the page token says the classes outright
        head.weight.zero_()
        head.weight[:classes] = 8 * torch.eye(classes)
        head.bias.fill_(-4)

    def features(rows: np.ndarray) -> Features:
        return Features(targets.values[rows, None, :classes].astype(np.float16), rows, np.zeros_like(rows))

    validation = features(training_set.validation)
    (soft,) = soft_targets_of([features(train)], validation, head, training_set, half, 0.5, tmp_path)
    labelled = targets.values[train, :classes].astype(bool)
    some = labelled.any(1)
    assert (soft.classes[some] == labelled[some]).all()
    assert soft.classes.any(1).all()
    first = soft[0]
    assert set(first.probabilities) <= {*SUPERCLASSES, "AFIB", "PACE", "CLBBB", "CRBBB", "1AVB", "LVH", "PVC"}
    assert first.probabilities["NORM"] == (0.75 if "NORM" in first.classes else 0.25)
    assert set(json.loads((tmp_path / "operating_points.json").read_text())) == set(SUPERCLASSES)


def test_answers_follow_the_soft_target_and_the_report_the_labels() -> None:
    facts = Facts({"NORM": 100.0, "SR": 0.0}, "MID", 70.0)
    soft = SoftTarget(("MI", "CD"), {"MI": 0.8, "NORM": 0.0})
    said: dict[str, list[str]] = {}
    for seed in range(300):
        for dialogue in training_turns(facts, np.random.default_rng(seed), soft):
            said.setdefault(dialogue[0].question, []).append(dialogue[0].answer)
    assert set(said[SUPERCLASS[0]]) == {"MI; CD"}
    assert np.mean([a == YES for a in said[finding_question("MI")]]) == pytest.approx(0.8, abs=0.08)
    assert set(said[finding_question("NORM")]) == {NO}
    assert set(said[finding_question("HYP")]) == {NO}  # nothing is given for it: the label
    assert all("normal ECG" in a for a in said["Describe this ECG."])


def test_soft_targets_index_by_page() -> None:
    soft = SoftTargets(np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]], bool), np.array([[0.1], [0.9]]), ("NORM",))
    assert soft[0] == SoftTarget(("HYP",), {"NORM": 0.1})
    assert soft[1] == SoftTarget(("NORM",), {"NORM": 0.9})
