"""The delineator's training: what is learned from is what was marked, the same seed gives the same network, and the
network is the one that the runtime runs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from distill.delineator.__main__ import main
from distill.delineator.examples import SIZE, Leads, _given_p, _moved_p, batch
from distill.delineator.net import Unet
from distill.delineator.scoring import Score, paired
from distill.delineator.training import Settings, cross_validated, train
from edge_runtime.errors import UserError
from edge_runtime.waves.delineate import Wave, runs
from edge_runtime.waves.net import CLASSES, TRAINED_ON, load, log_probabilities
from pulse.ecg import ludb
from pulse.ecg.ludb import Mark
from tests.heartbeats import Heart, regular

FS = 500.0
P = CLASSES.index("P")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four records of two hearts, laid out as LUDB is."""
    home = tmp_path_factory.mktemp("ludb")
    (home / "data").mkdir()
    for number in range(1, 5):
        heart, beats = Heart(pr=0.14 + 0.02 * number), regular(55 + 10 * number)
        wfdb.wrsamp(
            str(number), fs=FS, units=["mV"] * 12, sig_name=list(ludb.LEADS), fmt=["16"] * 12,
            p_signal=heart.record(beats, FS).T.astype(float), write_dir=str(home / "data"),
            comments=["Rhythm: Sinus rhythm."],
        )  # fmt: skip
        at, symbols = _annotated(heart, beats[1:-1])
        for lead in ludb.LEADS:
            wfdb.wrann(str(number), "atr", at, symbols, fs=FS, write_dir=str(home / "data"))
            # wfdb writes no extension with a digit, though it reads them.
            (home / "data" / f"{number}.atr").rename(home / "data" / f"{number}.{lead}")
    return home


def _annotated(heart: Heart, beats: list[float]) -> tuple[np.ndarray, list[str]]:
    seconds, symbols = [], []
    for at in beats:
        for symbol, begin, length in (
            ("p", -heart.pr, heart.p),
            ("N", 0, heart.qrs),
            ("t", heart.qt - heart.t, heart.t),
        ):
            seconds += [at + begin, at + begin + length / 2, at + begin + length]
            symbols += ["(", symbol, ")"]
    # The first QRS is marked without its onset, as some of LUDB's are.
    seconds, symbols = seconds[4:], symbols[4:]
    return np.rint(np.array(seconds) * FS).astype(int), symbols


def test_a_record_and_its_marks_are_read(folder: Path) -> None:
    assert ludb.numbers(folder) == [1, 2, 3, 4]
    record = ludb.read(folder, 1)
    assert record.signal.shape == (12, 5000)
    assert record.rhythm == "Sinus rhythm"
    first, second, third = record.marks[0][:3]
    assert (first.kind, second.kind, third.kind) == ("QRS", "T", "P")
    assert np.isnan(first.onset)
    assert first.begin == first.peak < first.offset < second.onset < second.peak < second.offset
    with pytest.raises(UserError, match="no data"):
        ludb.numbers(folder / "data")
    with pytest.raises(UserError, match="not a record"):
        ludb.read(folder, 9)


def test_nothing_is_learned_from_what_nobody_marked(folder: Path) -> None:
    record = ludb.read(folder, 1)
    labels = Leads.of([record]).labels[0]
    first, last = record.marks[0][0], record.marks[0][-1]
    assert (labels[: int(first.peak / 2)] == -1).all()  # the onset of the first QRS is not known
    assert (labels[int(last.offset / 2) + 10 :] == -1).all()
    p = record.marks[0][2]
    assert (labels[int(p.onset / 2) + 1 : int(p.offset / 2)] == P).all()


def test_examples_are_what_the_network_is_given(folder: Path) -> None:
    leads = Leads.of([ludb.read(folder, 1)])
    rng = np.random.default_rng(0)
    x, y = batch(leads, np.arange(12).repeat(8), rng)
    assert x.shape == y.shape == (96, SIZE)
    assert np.isfinite(x).all()
    assert set(np.unique(y)) == {-1, 0, 1, 2, 3}
    assert ((x == 0).mean(1) > 0.2).any()  # a short lead
    assert ((y == 0).all(1)).any()  # no beats
    again = batch(leads, np.arange(12).repeat(8), np.random.default_rng(0))
    assert (again[0] == x).all()
    assert (again[1] == y).all()


def test_a_p_that_moves_takes_its_label_along() -> None:
    x, y = np.zeros(400), np.zeros(400, np.int8)
    x[200:220], y[200:220] = np.hanning(20), P
    y[300:320] = CLASSES.index("QRS")
    moved, labels = _moved_p(x, y, -60)
    assert labels[140:160].tolist() == [P] * 20
    assert not moved[200:220].any()
    assert moved[140:160] == pytest.approx(x[200:220])
    stays, same = _moved_p(x, y, 95)  # onto the QRS
    assert (stays == x).all()
    assert (same == y).all()


def test_a_lead_without_p_is_given_some_where_there_is_room() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.01, 900), np.zeros(900, np.int8)
    for begin in (100, 300, 500, 700):
        y[begin : begin + 25] = CLASSES.index("QRS")
        x[begin : begin + 25] += np.hanning(25)
    y[620:690] = CLASSES.index("T")  # no room before the last
    given, labels = _given_p(x, y, rng)
    assert len(runs(labels == P)) == 3
    assert (labels[y > 0] == y[y > 0]).all()
    assert np.abs(given - x)[labels == P].max() > 0.02


def test_the_runtime_runs_the_network_that_was_trained() -> None:
    torch.manual_seed(0)
    net = Unet()
    with torch.no_grad():  # as if it had learned: every statistic of its own
        for norm in net.norms.values():
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.2, 0.2)
        signal = torch.randn(3, 640)
        there = torch.log_softmax(net.eval()(signal), -1).numpy()
    here = log_probabilities(signal.numpy(), net.folded())
    assert np.abs(here - there).max() < 1e-4


def test_the_same_seed_gives_the_same_network_and_it_learns(folder: Path) -> None:
    leads = Leads.of([ludb.read(folder, 1)])
    settings = Settings(steps=6, size=4)
    one, other = train(leads, settings), train(leads, settings)
    assert all((one[name] == other[name]).all() for name in one)
    assert any((one[name] != train(leads, Settings(steps=6, size=4, seed=1))[name]).any() for name in one)


def test_each_record_is_scored_by_a_network_that_has_not_seen_it(folder: Path, monkeypatch) -> None:
    seen, scored = [], []
    monkeypatch.setattr(Leads, "of", classmethod(lambda _, records: [record.number for record in records]))
    monkeypatch.setattr("distill.delineator.training.train", lambda leads, *_: seen.append(leads) or len(seen))
    monkeypatch.setattr("distill.delineator.training.delineate", lambda *args: scored.append(args[2]) or ((),) * 12)
    cross_validated([ludb.read(folder, number) for number in (1, 2, 3, 4)], Settings(), 2)
    assert seen == [[2, 4], [1, 3]]
    assert scored == [1, 1, 2, 2]


def test_pairs_are_near_and_each_point_has_one() -> None:
    assert paired(np.array([1.0, 2.0]), np.array([1.1, 1.14, 2.2])) == [(0, 0)]
    assert sorted(paired(np.array([1.0, 1.2]), np.array([1.1, 1.21]))) == [(0, 0), (1, 1)]
    assert paired(np.array([]), np.array([1.0])) == []


def test_score_counts_what_is_missed_what_is_too_much_and_how_far_the_rest_is() -> None:
    marked = (Mark("QRS", 500, 520, 540), Mark("QRS", 1000, 1020, 1040), Mark("QRS", 1500, 1520, 1540))
    found = (
        Wave("QRS", 0.2, 0.24, 0.28, 1.0),  # before the first mark: nobody can say
        Wave("QRS", 1.01, 1.04, 1.08, 1.0),
        Wave("QRS", 1.5, 1.54, 1.58, 1.0),  # none there
        Wave("QRS", 1.99, 2.04, 2.1, 1.0),
    )
    score = Score()
    score.add(1, marked, found, FS)
    row = score.figures()["QRS onset"]
    assert row["marked"] == 3
    assert row["sensitivity"] == pytest.approx(2 / 3)
    assert row["precision"] == pytest.approx(2 / 3)
    assert row["mean_ms"] == pytest.approx(0, abs=1e-6)
    assert row["sd_ms"] == row["sd_within_ms"] == pytest.approx(10)
    assert score.figures()["P onset"]["sensitivity"] is None
    score.add(2, marked, [Wave("QRS", 1.03, 1.04, 1.08, 1.0)], FS)
    assert score.figures()["QRS onset"]["sd_within_ms"] == pytest.approx(5)  # 10 within one record, 0 in the other


def test_the_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "weights.npz"
    assert main(["--ludb", str(folder), "--folds", "2", "--steps", "2", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 folds of 4 records" in printed
    assert "QRS onset" in printed
    with out.open("rb") as file:
        weights = load(file)
    assert weights[TRAINED_ON].tolist() == [1, 2, 3, 4]
    assert np.isfinite(log_probabilities(np.zeros((1, 64), np.float32), weights)).all()
    assert out.stat().st_size < 1_000_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--folds", "1"], "at least 2"),
        (["--folds", "0"], "--out"),
        (["--folds", "9"], "4 records"),
        (["--out", "/nowhere/weights.npz"], "does not exist"),
    ],
)
def test_wrong_use(folder: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--ludb", str(folder), *options]) == 2
    assert words in capsys.readouterr().err
