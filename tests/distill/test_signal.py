"""The signal teacher judges only what it was not trained on, and its probabilities reach the tower's targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.loop import Log
from distill.recipe import Recipe, distill
from distill.runs import TowerRun
from distill.targets import Targets, label_loss, softened
from distill.teacher import Workspace
from distill.teachers._signal_net import changed, probabilities
from distill.teachers.signal import SignalTeacher
from distill.teaching import kept_probabilities
from distill.training_set import TrainingSet
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.towers.conv import ConvVision
from quantize.load import load_model
from tests.distill.conftest import changed_student, with_dataset

CPU = torch.device("cpu")
RUN = SignalTeacher(epochs=2, batch=4, channels=(4, 8), parts=3)


def test_each_part_is_judged_by_the_network_that_never_saw_it(training_set: TrainingSet, tmp_path: Path) -> None:
    """A network that says its own number shows whose answer a record got."""
    rows, trained = training_set.train, []

    def train(teacher, data, mine, number, workspace):
        trained.append(mine)
        return number

    def judge(net, dataset, at, device):
        return np.full((len(at), len(training_set.targets.names)), net, float)

    soft = probabilities(RUN, training_set, Workspace(tmp_path, CPU), train, judge)
    assert len(trained) == RUN.parts
    for number, mine in enumerate(trained):
        judged = rows[(soft[rows] == number).all(1)]
        assert sorted([*mine, *judged]) == sorted(rows)
        assert len(judged)
        assert not set(training_set.cache.patients[mine]) & set(training_set.cache.patients[judged])
    np.testing.assert_allclose(soft[training_set.validation], 1)  # the mean of 0, 1 and 2


def test_it_learns_resumes_and_is_asked_once(training_set: TrainingSet, tmp_path: Path, monkeypatch) -> None:
    a, b = (Workspace(tmp_path / name, CPU) for name in "ab")
    soft = kept_probabilities(RUN, training_set, a)
    known = training_set.rows
    assert ((soft[known] > 0) & (soft[known] < 1)).all()
    assert np.isnan(np.delete(soft, known, axis=0)).all()
    assert len((a.folder / "signal.csv").read_text().splitlines()) == 1 + RUN.parts * RUN.epochs + 1

    write, epochs = Log.write, []

    def cut_off(log: Log, row: dict) -> None:
        write(log, row)
        epochs.append(row["epoch"])
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Log, "write", cut_off)
    with pytest.raises(KeyboardInterrupt):
        kept_probabilities(RUN, training_set, b)
    monkeypatch.undo()
    again = kept_probabilities(RUN, training_set, b)
    assert np.array_equal(soft, again, equal_nan=True)
    monkeypatch.setattr(SignalTeacher, "probabilities", None)  # what is on disk is not computed again
    assert np.array_equal(soft, kept_probabilities(RUN, training_set, b), equal_nan=True)


def test_changes_keep_the_beat_and_are_seeded() -> None:
    clean = np.tile(np.sin(np.linspace(0, 20, 1000, dtype=np.float32)), (3, 12, 1))
    a, b = (changed(clean.copy(), np.random.default_rng(5)) for _ in range(2))
    assert a.shape == clean.shape
    assert a.dtype == np.float32
    assert np.array_equal(a, b)
    assert 0.01 < np.abs(a - clean).mean() < 1


def test_soft_targets_are_mixed_into_labels_but_not_into_what_is_certain() -> None:
    nan = np.nan
    targets = Targets(["NORM", "axis:LAD", "scp:X", "is_ecg"], np.array([[1, nan, 0, 1]], np.float32), np.zeros(1))
    soft = np.array([[0.5, 0.2, nan, 0.1]], np.float32)
    mixed = softened(targets, soft, 0.4)
    assert mixed.values == pytest.approx(np.array([[0.8, 0.2, 0, 1]]))
    assert mixed.names is targets.names


def test_label_loss_by_hand() -> None:
    names = ["NORM", "MI", "STTC", "CD", "HYP", "scp:X", "is_ecg"]
    values = torch.tensor([[1.0, 0, 0, 0, 0, float("nan"), 1]])
    logits = torch.zeros(1, 7)
    logits[0, 6] = 100.0
    # Six known targets of weight three; five of them at a half.
    assert label_loss(logits, values, names).item() == pytest.approx(np.log(2) * 5 / 6)


@pytest.mark.usefixtures("dataset")
def test_training_goes_on_from_a_checkpoints_tower(data: Path, tiny: Recipe, tmp_path: Path) -> None:
    labels_alone = Recipe(replace(tiny.student, views=1))
    runs = {name: with_dataset(data, tmp_path / name) for name in ("first", "second", "third", "wide")}
    first = distill(data, runs["first"], labels_alone, CPU)
    slow = TowerRun(epochs=1, batch=8, workers=0, peak=1e-9, start=str(first))
    second = distill(data, runs["second"], changed_student(labels_alone, tower=slow), CPU)
    # Hardly trained, it sees what the first tower saw; its norms' statistics move a little all the same.
    pixels = torch.rand(2, 1, 384, 544)
    a, b = (load_model(Checkpoint.open(path)).vision_tower(pixels) for path in (first, second))
    third = distill(data, runs["third"], changed_student(labels_alone, tower=replace(slow, start=None)), CPU)
    random = load_model(Checkpoint.open(third))
    gap, usual = (a - b).norm(), (a - random.vision_tower(pixels)).norm()
    assert gap < 0.2 * usual
    wide = changed_student(
        labels_alone, tower=slow, vision=ConvVision(channels=(4, 16), blocks=(0, 0), batch_norm=True, pool=8)
    )
    with pytest.raises(UserError, match="other sizes than the student's"):
        distill(data, runs["wide"], wide, CPU)
