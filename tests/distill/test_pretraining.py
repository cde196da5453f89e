"""Pre-training reads no label, goes on exactly where it was cut off, and hands its encoder to the fine-tuning."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.dataset_cache import DatasetCache
from distill.loop import Log
from distill.pretraining import table
from distill.pretraining.__main__ import main
from distill.pretraining.losses import contrast, hidden_positions, without
from distill.pretraining.marks import marks
from distill.pretraining.recipes import RECIPES
from distill.pretraining.recipes.augmented import OPERATIONS, policy, wavelet_bands
from distill.pretraining.recipes.periods import two_beats
from distill.pretraining.recipes.wav2vec import Wav2vec
from distill.pretraining.recipes.waves_as_words import BETWEEN, segments
from distill.pretraining.training import PretrainingRun, pretrain
from distill.teacher import Workspace
from distill.teachers import TEACHERS
from distill.teachers._pretrained import PretrainedTeacher
from distill.teachers._signal_net import SignalNet
from distill.training_set import TrainingSet, split
from edge_runtime.errors import UserError

CPU = torch.device("cpu")
RUN = PretrainingRun((4, 6, 8, 12), epochs=2, batch=8, peak=5e-3)


@pytest.fixture(scope="module")
def toy() -> np.ndarray:
    """int16 microvolts [16, 12, 1000]: sixteen hearts of their own rates and shapes."""
    rng, seconds = np.random.default_rng(3), np.arange(1000) / 100
    made = []
    for rate in rng.uniform(0.8, 1.8, 16):
        phase = (seconds * rate + rng.random()) % 1
        beat = np.exp(-(((phase - 0.4) / 0.03) ** 2)) + 0.25 * np.exp(-(((phase - 0.75) / 0.06) ** 2))
        made.append(1000 * rng.uniform(-1, 1.5, (12, 1)) * beat)
    return np.array(made).astype(np.int16)


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def marked(toy: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the toy records' waves already."""
    folder = tmp_path_factory.mktemp("marks")
    marks(toy, np.arange(16), folder)
    return folder


@pytest.mark.parametrize("name", RECIPES.names())
def test_the_loss_of_each_recipe_falls(name: str, toy: np.ndarray, marked: Path, tmp_path: Path) -> None:
    run = replace(RUN, epochs=8)
    for file in marked.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    state = pretrain(RECIPES.load(name), toy, np.arange(16), run, tmp_path, CPU)
    with (tmp_path / "pretraining.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == run.epochs
    assert np.mean(losses[-3:]) < 0.95 * losses[0]
    SignalNet(5, run.channels).layers.load_state_dict(state)


def test_it_goes_on_where_it_was_cut_off(toy: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    recipe, rows, run = Wav2vec(), np.arange(16), replace(RUN, epochs=3)
    whole = pretrain(recipe, toy, rows, run, tmp_path / "whole", CPU)
    write = Log.write

    def cut_off(log: Log, row: dict) -> None:
        write(log, row)
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Log, "write", cut_off)
    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, toy, rows, run, tmp_path / "cut", CPU)
    monkeypatch.undo()
    assert same(whole, pretrain(recipe, toy, rows, run, tmp_path / "cut", CPU))
    assert not same(whole, pretrain(recipe, toy, rows, replace(run, seed=2), tmp_path / "other", CPU))
    with pytest.raises(UserError, match="other settings"):
        pretrain(recipe, toy, rows, RUN, tmp_path / "cut", CPU)


def test_no_label_is_read(training_set: TrainingSet, tmp_path: Path) -> None:
    """With every record's labels another's, the encoder is the same; the fine-tuned answers are not."""
    labels = training_set.cache.labels
    train = training_set.train.tolist()
    other = list(labels)
    for row, from_row in zip(train, train[1:] + train[:1], strict=True):
        other[row] = {**labels[from_row], "fold": labels[row]["fold"], "patient_id": labels[row]["patient_id"]}
    teacher = PretrainedTeacher(
        name="wav2vec", epochs=1, batch=4, channels=(4, 6, 8, 12), parts=2, pretraining_epochs=1
    )
    found, states = [], []
    for name, kept in (("own", labels), ("other", other)):
        data = split(DatasetCache(training_set.cache.signals, kept), limit=0, batch=8)
        found.append(teacher.probabilities(data, Workspace(tmp_path / name, CPU)))
        states.append(torch.load(tmp_path / name / "encoder" / "encoder.pt", weights_only=True)["objective"])
    assert same(*states)
    assert not np.array_equal(*found, equal_nan=True)


def test_waves_are_marked_once_and_go_on(toy: np.ndarray, tmp_path: Path) -> None:
    found = marks(toy, np.arange(3), tmp_path)
    assert (found[:3, :, 0] == 1).sum(1).min() >= 5  # ten seconds of beats
    assert (found[3:] == -1).all()
    (tmp_path / "marks.done").write_text("2")
    assert np.array_equal(found, marks(toy, np.arange(3), tmp_path))
    cut = segments(found[0], 1000)
    assert [begin for _, begin, _ in cut] == [0, *(end for _, _, end in cut[:-1])]
    assert cut[-1][2] == 1000
    assert {1, BETWEEN} <= {kind for kind, _, _ in cut}


def test_views_keep_what_they_should(toy: np.ndarray) -> None:
    rng, signal = np.random.default_rng(0), toy[:4].astype(np.float32) / 1000
    np.testing.assert_allclose(wavelet_bands(signal, 4).sum(0), signal, atol=1e-5)
    for operation in OPERATIONS:
        assert operation(signal[0], 0.0, rng) == pytest.approx(signal[0])
    assert np.abs(policy(signal[0], 2, 0.5, rng) - signal[0]).max() > 0
    masked, whole, hidden = Wav2vec().batch(signal, None, rng)
    assert np.array_equal(np.concatenate([whole[:4], whole[4:]], axis=2), signal)
    shown = masked != 0
    assert np.array_equal(masked[shown], whole[shown])
    assert np.array_equal(without(whole, hidden)[shown], whole[shown])
    assert (np.abs(masked).max(2) > 0).any(1).all()  # a lead of each is left
    share = hidden_positions(500, 32, 0.4, 2, rng)
    assert share.any(1).all()
    assert 0.3 < share.mean() < 0.5
    a, b = two_beats(signal[0], np.array([100, 300, 500]), rng)
    starts = [int(np.flatnonzero((signal[0] == beat[:, :1]).all(0))[0]) for beat in (a, b)]
    assert not np.array_equal(a, b) or starts[0] == starts[1]


def test_contrast_is_least_for_partners() -> None:
    views = torch.eye(8)
    assert contrast(views, views) < 0.01 < contrast(views, views.roll(1, 0))


def test_shares_of_labels_are_patients_and_lie_within_each_other(training_set: TrainingSet) -> None:
    patients = training_set.cache.patients
    few, many = (set(table.labelled(training_set, share, 1)) for share in (0.3, 0.7))
    assert few < many < set(training_set.train)
    assert not {patients[row] for row in few} & {patients[row] for row in set(training_set.train) - few}
    size = table.Size((4, 8), pretraining=3, epochs=2, batch=4, steps=5)
    rows = table.repeated(np.arange(6), size)
    assert len(rows) == 24
    assert table.equal_epochs(rows, size, unlabelled=24) == 2 + 3 * table.VIEWS


def test_the_interval_draws_patients_not_records(monkeypatch) -> None:
    monkeypatch.setattr(table, "ROUNDS", 200)
    values = np.repeat([0.0, 1.0], 50)
    wide, narrow = (
        table.interval(lambda at: float(values[at].mean()), patients, seed=1)
        for patients in (np.repeat([0, 1], 50), np.arange(100))
    )
    assert wide == (0, 1)
    assert 0.3 < narrow[0] < 0.5 < narrow[1] < 0.7


@pytest.mark.usefixtures("dataset")
def test_one_command_a_row(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(table.SIZES, "small", table.Size((4, 6, 8, 12), pretraining=1, epochs=1, batch=8, steps=2))
    monkeypatch.setattr(table, "ROUNDS", 5)
    (tmp_path / "dataset-cache").symlink_to(data.parent / "dataset-cache")
    for recipe in ("wav2vec", "none"):
        argv = ["--data", str(data), "--recipe", recipe, "--labels", "1,0.5", "--device", "cpu", "--out", str(tmp_path)]
        assert main(argv) == 0
    rows = table.read_rows(tmp_path / table.TABLE)
    assert sorted((row["recipe"], row["labels"]) for row in rows) == [
        (recipe, share) for recipe in ("none", "wav2vec") for share in ("0.5", "1")
    ]
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["high"]) <= 1
        assert 0 < float(row["auc"]) < 1
    epochs = {row["recipe"]: int(row["epochs"]) for row in rows if row["labels"] == "1"}
    assert epochs["none"] > epochs["wav2vec"] == 1
    assert json.loads((tmp_path / "recipe.json").read_text())["batch"] == 8
    before = (tmp_path / table.TABLE).read_bytes()
    assert main(argv) == 0  # what was measured stays
    assert (tmp_path / table.TABLE).read_bytes() == before
    assert main([*argv, "--seed", "2"]) == 2
    assert "holds a run with other settings (seed)" in capsys.readouterr().err


def test_each_recipe_is_a_teacher() -> None:
    for name in RECIPES.names():
        teacher = TEACHERS.load(name)
        assert teacher.name == name
        settings = json.loads(json.dumps(asdict(RECIPES.load(name))))
        assert teacher.identity() == {"recipe": settings}  # as a run that goes on reads it
    with pytest.raises(UserError, match="--pretraining-epochs"):
        replace(teacher, pretraining_epochs=0).check()
