"""The parts of the training: schedule, average, targets, pages, packed dialogues, figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics

from distill.dataset_cache import Pack
from distill.decoder import Lessons, Speaker
from distill.dialogues import Packer, collate
from distill.features import Features
from distill.loop import Average, learning_rate
from distill.negatives import not_an_ecg
from distill.pages import PageMix, Pages
from distill.recipe import Recipe
from distill.score import auc, bootstrap, calibration_error, hard_figures, macro_auc
from distill.students import NANO
from distill.targets import build_targets
from distill.time_shift import restarted
from distill.tokens import facts_of, rare_codes, train_tokenizer
from edge_runtime.manifest import PromptSpec
from edge_runtime.prompt import Prompt
from edge_runtime.tokenizer import Tokenizer
from pulse.ecg.paper.variety import varied_page
from pulse.instruct.questions import SUPERCLASS, Turn, training_turns


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


def test_lessons_do_not_say_what_hardly_any_record_has(pack: Pack) -> None:
    labels = [{"scp_codes": {"SR": 0.0, "PMI": 100.0}}] + 2 * [{"scp_codes": {"SR": 0.0, "IMI": 100.0}}]
    crowd = replace(pack, labels=labels + 1197 * [{"scp_codes": {"SR": 0.0}}])
    assert rare_codes(crowd, np.arange(1200)) == {"PMI"}  # 1 in 1,200; IMI is just 1 in 600
    assert rare_codes(crowd, np.arange(600)) == set()
    row = next(r for r, label in enumerate(pack.labels) if "CLBBB" in label["scp_codes"])
    page = Features(np.zeros((1, 2, 4), np.float16), np.array([row]))
    said = {}
    for unsaid in (frozenset[str](), frozenset({"CLBBB"})):
        lessons = Lessons(pack, [page], None, None, unsaid=unsaid)  # type: ignore[arg-type]
        said[unsaid] = [turn for dialogue in lessons.dialogues(1, 0, 0) for turn in dialogue]
    reports = [turns[0].answer for turns in said.values()]
    assert ["bundle branch block" in report for report in reports] == [True, False]
    classes = [next(turn.answer for turn in turns if turn.question == SUPERCLASS[0]) for turns in said.values()]
    assert classes[0] == classes[1]
    assert "CD" in classes[1]


def test_targets_hold_the_labels(pack: Pack) -> None:
    targets = build_targets(pack, pack.rows((1,)))
    row = next(r for r, label in enumerate(pack.labels) if "CLBBB" in label["scp_codes"])
    on = {name for name, value in zip(targets.names, targets.values[row], strict=True) if value == 1}
    assert {"CD", "scp:CLBBB", "scp:PVC", "axis:ALAD", "is_ecg"} <= on
    assert "NORM" not in on
    unknown = next(r for r, label in enumerate(pack.labels) if not label["heart_axis"])
    axes = [k for k, name in enumerate(targets.names) if name.startswith("axis:")]
    assert np.isnan(targets.values[unknown, axes]).all()
    rate = pack.labels[row]["heart_rate"]
    assert 70 * 2 ** (targets.rate[row] / 2) == pytest.approx(rate)


def test_a_training_page_depends_on_seed_epoch_and_record_alone(pack: Pack) -> None:
    rows, spec = pack.rows((1,)), NANO.spec
    a, b = Pages(pack, rows, spec, PageMix(), 1), Pages(pack, rows[::-1], spec, PageMix(), 1)
    last = len(rows) - 1
    assert torch.equal(a[0][0], b[last][0])
    b.epoch = 1
    assert not torch.equal(a[0][0], b[last][0])


def test_a_restarted_record_goes_on_in_time() -> None:
    """Beats of 83 samples do not fit into 1,000: where the end is joined to the beginning, the next beat still comes
    83 samples later, and nothing jumps."""
    phase = np.arange(1000) % 83
    beat = np.exp(-0.5 * ((phase - 30) / 3) ** 2) + 0.3 * np.exp(-0.5 * ((phase - 55) / 8) ** 2)
    signal = np.outer([1.0, -0.4], beat).astype(np.float32)
    rng = np.random.default_rng(0)
    begun = []
    for _ in range(20):
        again = restarted(signal, rng)
        assert (again.shape, again.dtype) == (signal.shape, np.float32)
        peaks = np.flatnonzero(again[0] > 0.99)
        assert set(np.diff(peaks)) == {83}
        assert np.abs(np.diff(again)).max() <= np.abs(np.diff(signal)).max() * 1.01
        begun.append(int(peaks[0]))
    assert len(set(begun)) > 10


def test_pages_of_another_epoch_begin_at_another_beat(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []

    def keep(record, rng):
        drawn.append(record.signal)
        return varied_page(record, rng)

    monkeypatch.setattr("distill.pages.varied_page", keep)
    pages = Pages(pack, pack.rows((1,)), NANO.spec, PageMix(negative=0), 1)
    first, again = pages[0][0], pages[0][0]
    pages.epoch = 1
    pages[0]
    assert torch.equal(first, again)
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert not np.array_equal(drawn[0], pack.record(int(pages.rows[0])).signal)


def test_negatives_are_marked_and_seeded(pack: Pack) -> None:
    pages = Pages(pack, pack.rows((1,)), NANO.spec, PageMix(negative=1.0), 1)
    pixels, row, is_ecg = pages[0]
    assert (row, is_ecg) == (-1, False)
    assert torch.equal(pixels, pages[0][0])
    drawn = [not_an_ecg(np.random.default_rng(k), 96, 64) for k in range(20)]
    assert {image.shape for image in drawn} == {(64, 96, 3)}
    assert len({image.tobytes() for image in drawn}) == 20


@pytest.fixture(scope="module")
def packer(pack: Pack, tmp_path_factory: pytest.TempPathFactory) -> Packer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    train_tokenizer(pack, pack.rows((1,)), path, 400)
    tokenizer = Tokenizer(path)
    return Packer(Prompt(PromptSpec(**NANO.prompt), tokenizer, None), tokenizer, 3, NANO.end, 384)


def test_a_packed_dialogue_sees_nothing_of_its_neighbours(pack: Pack, packer: Packer, tiny: Recipe) -> None:
    """The same dialogue alone and behind others gives the same hidden states, at the same positions."""
    torch.manual_seed(0)
    speaker = Speaker(5, replace(tiny.text, vocab_size=packer.tokenizer.vocab_size)).eval()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.normal_(std=0.3)
    features = torch.randn(1, 3, 5)
    dialogues = training_turns(facts_of(pack.labels[0]), np.random.default_rng(3))[-4:]
    together, alone = packer.pack(dialogues), packer.pack(dialogues[-1:])
    hidden = [speaker.hidden(features, collate([p]), packer.image_start)[0] for p in (together, alone)]
    length = int((alone.segments == 1).sum())
    assert (together.positions[-length:] == alone.positions[-length:]).all()
    torch.testing.assert_close(hidden[0][-length:], hidden[1][-length:])
    # And padding in a batch changes nothing either.
    padded = speaker.hidden(features.expand(2, 3, 5), collate([alone, together]), packer.image_start)[0]
    torch.testing.assert_close(padded[: len(alone.ids)], hidden[1])


def test_targets_of_a_packed_dialogue_are_the_answer_and_the_end(packer: Packer) -> None:
    packed = packer.pack([[Turn("What is the rhythm?", "Sinus rhythm."), Turn("Is this a normal ECG?", "No")]])
    wanted = packed.targets[packed.weights > 0].tolist()
    first, second = packer.encode("Sinus rhythm."), packer.encode("No")
    assert wanted == [*first, NANO.end, *second, NANO.end]
    # Position i predicts token i + 1.
    at = np.flatnonzero(packed.weights > 0)
    inside = at[at + 1 < len(packed.ids)]
    assert (packed.ids[inside + 1] == packed.targets[inside]).all()


def test_dialogues_that_do_not_fit_are_left_out(packer: Packer) -> None:
    short, long = [Turn("Is this a normal ECG?", "No")], [Turn("What?", "Sinus rhythm. " * 200)]
    packed = packer.pack([short, long, short])
    assert sorted(set(packed.segments.tolist())) == [0, 1, 3]
    assert len(packed.ids) <= packer.max_length


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
