"""What the decoder is told: operating points by hand, at least one class a page, answers drawn with their chances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.dataset_cache import Pack
from distill.features import Features
from distill.soft_targets import Opinions, chosen, operating_points, opinions_of
from distill.targets import build_targets, softened
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.facts import Facts
from pulse.instruct.questions import NO, SUPERCLASS, YES, Opinion, finding_question, training_turns


def test_the_point_is_where_f1_is_best_and_errors_are_few() -> None:
    truth = np.array([[1, 1, 1, 0, 0, 0]]).T
    probability = np.array([[0.9, 0.35, 0.30, 0.20, 0.15, 0.1]]).T
    # From just above 0.20 to 0.30 all are told apart: the middle of that.
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


def test_opinions_are_the_heads_classes_and_the_mixed_chances(pack: Pack, tmp_path: Path) -> None:
    train, judged = pack.rows((1,)), pack.rows((9,))
    targets = build_targets(pack, train)
    mixed = softened(targets, np.full(targets.values.shape, 0.5, np.float32), 0.5)
    classes = len(SUPERCLASSES)
    assert "scp:NORM" in targets.names
    assert [targets.columns[name] for name in SUPERCLASSES] == list(range(classes))  # NORM is also the name of a code
    head = torch.nn.Linear(classes, len(targets.names) + 1)
    with torch.no_grad():  # the page token says the classes outright
        head.weight.zero_()
        head.weight[:classes] = 8 * torch.eye(classes)
        head.bias.fill_(-4)

    def features(rows: np.ndarray) -> Features:
        return Features(targets.values[rows, None, :classes].astype(np.float16), rows)

    (told,) = opinions_of([features(train)], features(judged), head, targets, mixed, tmp_path)
    labelled = targets.values[train, :classes].astype(bool)
    some = labelled.any(1)
    assert (told.classes[some] == labelled[some]).all()
    assert told.classes.any(1).all()
    first = told[0]
    assert set(first.chances) <= {*SUPERCLASSES, "AFIB", "PACE", "CLBBB", "CRBBB", "1AVB", "LVH", "PVC"}
    assert first.chances["NORM"] == (0.75 if "NORM" in first.classes else 0.25)
    assert set(json.loads((tmp_path / "operating_points.json").read_text())) == set(SUPERCLASSES)


def test_answers_follow_the_opinion_and_the_report_the_labels() -> None:
    facts = Facts({"NORM": 100.0, "SR": 0.0}, "MID", 70.0)
    opinion = Opinion(("MI", "CD"), {"MI": 0.8, "NORM": 0.0})
    said: dict[str, list[str]] = {}
    for seed in range(300):
        for dialogue in training_turns(facts, np.random.default_rng(seed), opinion):
            said.setdefault(dialogue[0].question, []).append(dialogue[0].answer)
    assert set(said[SUPERCLASS[0]]) == {"MI; CD"}
    assert np.mean([a == YES for a in said[finding_question("MI")]]) == pytest.approx(0.8, abs=0.08)
    assert set(said[finding_question("NORM")]) == {NO}
    assert set(said[finding_question("HYP")]) == {NO}  # nothing was told of it: the label
    assert all("normal ECG" in a for a in said["Describe this ECG."])


def test_opinions_index_by_page() -> None:
    told = Opinions(np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 0]], bool), np.array([[0.1], [0.9]]), ("NORM",))
    assert told[0] == Opinion(("HYP",), {"NORM": 0.1})
    assert told[1] == Opinion(("NORM",), {"NORM": 0.9})
