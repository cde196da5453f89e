"""The signal teacher judges only what it was not trained on, and its opinion reaches the tower's targets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.dataset_cache import Pack
from distill.loop import Log
from distill.recipe import Recipe, distill
from distill.targets import Targets, build_targets, label_loss, softened
from distill.teachers import signal
from distill.teachers.signal import SignalRun, changed, teach
from distill.tower import TowerRun
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import ConvVision
from quantize.load import load_model

CPU = torch.device("cpu")
RUN = SignalRun(epochs=2, batch=4, channels=(4, 8), parts=3)


def test_each_part_is_judged_by_the_network_that_never_saw_it(pack: Pack, tmp_path: Path, monkeypatch) -> None:
    """A network that says its own number shows whose opinion a record got."""
    rows = pack.rows((1,)), pack.rows((9,))
    trained: list[np.ndarray] = []

    def train(pack, targets, mine, *_):
        trained.append(mine)
        return len(trained) - 1

    monkeypatch.setattr(signal, "_train", train)
    width = len(build_targets(pack, rows[0]).names)
    monkeypatch.setattr(signal, "probabilities", lambda net, pack, at, device: np.full((len(at), width), net, float))
    told = teach(pack, build_targets(pack, rows[0]), rows, RUN, tmp_path, CPU)
    assert len(trained) == RUN.parts
    for number, mine in enumerate(trained):
        judged = rows[0][(told[rows[0]] == number).all(1)]
        assert sorted([*mine, *judged]) == sorted(rows[0])
        assert len(judged)
        assert not set(pack.patients[mine]) & set(pack.patients[judged])
    np.testing.assert_allclose(told[rows[1]], 1)  # the mean of 0, 1 and 2


def test_it_learns_resumes_and_is_asked_once(pack: Pack, tmp_path: Path, monkeypatch) -> None:
    rows = pack.rows((1,)), pack.rows((9,))
    targets = build_targets(pack, rows[0])
    told = teach(pack, targets, rows, RUN, tmp_path / "a", CPU)
    known = np.concatenate(rows)
    assert ((told[known] > 0) & (told[known] < 1)).all()
    assert np.isnan(np.delete(told, known, axis=0)).all()
    assert len((tmp_path / "a" / "signal.csv").read_text().splitlines()) == 1 + RUN.parts * RUN.epochs + 1

    write, epochs = Log.write, []

    def cut_off(log: Log, row: dict) -> None:
        write(log, row)
        epochs.append(row["epoch"])
        if len(epochs) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Log, "write", cut_off)
    with pytest.raises(KeyboardInterrupt):
        teach(pack, targets, rows, RUN, tmp_path / "b", CPU)
    monkeypatch.undo()
    again = teach(pack, targets, rows, RUN, tmp_path / "b", CPU)
    assert np.array_equal(told, again, equal_nan=True)
    monkeypatch.setattr(signal, "_train", None)  # what is on disk is not computed again
    assert np.array_equal(told, teach(pack, targets, rows, RUN, tmp_path / "b", CPU), equal_nan=True)


def test_changes_keep_the_beat_and_are_seeded() -> None:
    clean = np.tile(np.sin(np.linspace(0, 20, 1000, dtype=np.float32)), (3, 12, 1))
    a, b = (changed(clean.copy(), np.random.default_rng(5)) for _ in range(2))
    assert a.shape == clean.shape
    assert a.dtype == np.float32
    assert np.array_equal(a, b)
    assert 0.01 < np.abs(a - clean).mean() < 1


def test_opinion_is_mixed_into_labels_but_not_into_what_is_no_opinion() -> None:
    nan = np.nan
    targets = Targets(["NORM", "axis:LAD", "scp:X", "is_ecg"], np.array([[1, nan, 0, 1]], np.float32), np.zeros(1))
    told = np.array([[0.5, 0.2, nan, 0.1]], np.float32)
    mixed = softened(targets, told, 0.4)
    assert mixed.values == pytest.approx(np.array([[0.8, 0.2, 0, 1]]))
    assert mixed.names is targets.names


def test_label_loss_by_hand() -> None:
    names = ["NORM", "MI", "STTC", "CD", "HYP", "scp:X", "is_ecg"]
    values = torch.tensor([[1.0, 0, 0, 0, 0, float("nan"), 1]])
    logits = torch.zeros(1, 7)
    logits[0, 6] = 100.0
    # Six known targets of weight three; five of them at a half.
    assert label_loss(logits, values, names).item() == pytest.approx(np.log(2) * 5 / 6)


def test_training_goes_on_from_a_checkpoints_tower(data: Path, tiny: Recipe, tmp_path: Path) -> None:
    labels_alone = replace(tiny, signal=None, views=1)
    first = distill(data, tmp_path / "first", labels_alone, CPU)
    slow = TowerRun(epochs=1, batch=8, workers=0, peak=1e-9, start=str(first))
    second = distill(data, tmp_path / "second", replace(labels_alone, tower=slow), CPU)
    # Hardly trained, it sees what the first tower saw; its norms' statistics move a little all the same.
    pixels = torch.rand(2, 1, 384, 544)
    a, b = (load_model(Checkpoint.open(path)).vision_tower(pixels) for path in (first, second))
    third = distill(data, tmp_path / "third", replace(labels_alone, tower=replace(slow, start=None)), CPU)
    random = load_model(Checkpoint.open(third))
    gap, usual = (a - b).norm(), (a - random[0].vision_tower(pixels)).norm()
    assert gap < 0.2 * usual
    wide = replace(
        labels_alone, tower=slow, vision=ConvVision(channels=(4, 16), blocks=(0, 0), batch_norm=True, pool=8)
    )
    with pytest.raises(UserError, match="other sizes than the student's"):
        distill(data, tmp_path / "wide", wide, CPU)
