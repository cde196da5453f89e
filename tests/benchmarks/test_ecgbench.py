"""Every rule of PULSE's evaluation on a case made by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from benchmarks.task import Answered
from benchmarks.tasks import TASKS
from benchmarks.tasks._ecgbench.free_text import names, statements
from benchmarks.tasks._ecgbench.parsing import Letters, gold_letter, joined, labels, options, selected
from benchmarks.tasks._ecgbench.read import record_of
from benchmarks.tasks._ecgbench.scoring import score
from benchmarks.tasks._ecgbench.subset import Subset
from edge_runtime.errors import UserError
from pulse.instruct.facts import Facts
from pulse.instruct.questions import Turn

SUBSETS = {name: task for name, task in TASKS.all() if isinstance(task, Subset)}
PROMPT = "Question: Which?\nOptions: Sinus rhythm, afib, none\n\nOnly answer based on the given Options."


def given(
    gold: Sequence[str],
    answers: Sequence[str],
    *,
    prompt: str = "",
    likelihoods: Sequence[float] | None = None,
    chances: Sequence[dict[str, float]] | None = None,
    ids: Sequence[str] | None = None,
) -> list[Answered]:
    """Rows as a bundle would have answered them."""
    return [
        Answered(
            ids[k] if ids else f"cpsc-{k}",
            record_of(ids[k]) if ids else f"cpsc-{k}",
            (Turn(prompt, want),),
            (said,),
            likelihoods[k] if likelihoods else None,
            None,
            chances[k] if chances else {},
            (),
            True,
        )
        for k, (want, said) in enumerate(zip(gold, answers, strict=True))
    ]


def test_the_published_row_counts() -> None:
    assert len(SUBSETS) == 9
    assert all(name == subset.name for name, subset in SUBSETS.items())
    assert sum(subset.rows for subset in SUBSETS.values()) == 11247
    assert [name for name, subset in SUBSETS.items() if subset.exact] == [
        "csn-test-no-cot",
        "g12-test-no-cot",
        "mmmu-ecg",
    ]


@pytest.mark.parametrize(
    ("name", "answer", "found"),
    [
        ("ptb-test", "MI; CD", ("MI", "CD")),
        ("ptb-test", "norm; mi", ()),
        ("ptb-test", "NORMAL, MINOR", ("NORM", "MI")),
        ("cpsc-test", "STD", ("STD",)),
        ("code15-test", "STTC", ("ST",)),
        ("code15-test", "ABNORMAL, AF", ("NORM", "ABNORMAL", "AF")),
        ("code15-test", "RBBB is possible. Answer: SB", ("SB",)),
        ("code15-test", "RBBB, SB", ("RBBB", "SB")),
    ],
)
def test_labels_are_case_sensitive_substrings(name: str, answer: str, found: tuple[str, ...]) -> None:
    assert labels(answer, SUBSETS[name]) == found


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        (" C\n", "C"),
        ("D. LBBB, not B. RBBB", "B"),
        ("The correct option is E", "E"),
        ("Answer: (F)", "F"),
        ("Answer: C. or A.", "A"),
        ("The correct option is unclear. Answer: G", "G"),
    ],
)
def test_the_chain_of_letter_rules(answer: str, letter: str) -> None:
    read = Letters("ABCDEFGH")
    assert read(answer) == letter
    assert read.drawn == 0


def test_an_answer_without_a_letter_is_drawn_from_a_stream_with_seed_42() -> None:
    read, reference = Letters("ABCD"), random.Random(42)
    assert [read("no idea") for _ in range(8)] == [reference.choice("ABCD") for _ in range(8)]
    assert read.drawn == 8


def test_options_are_a_set_and_gold_lists_of_characters_are_joined() -> None:
    candidates = options(PROMPT)
    assert candidates == ("sinus rhythm", "afib", "none")
    assert selected("AFIB, Sinus Rhythm", candidates) == {"afib", "sinus rhythm"}
    assert joined(list("afib")) == joined("afib") == "afib"
    assert gold_letter("C. IAVB(first-degree), SB") == "C"
    rows = given(["afib"] * 4, ["Afib", "afib, none", "none", "afib."], prompt=PROMPT)
    assert score(SUBSETS["ecgqa-test"], rows)["accuracy"][0] == 50


def test_hard_figures_by_hand() -> None:
    gold, said = ["NORM", "MI; CD", "CD", "NORM"], ["NORM", "MI", "CD", "CD"]
    chances = [
        {"NORM": n, "MI": m, "CD": c} for n, m, c in ((0.9, 0.1, 0.1), (0.1, 0.9, 0.4), (0.2, 0.3, 0.8), (0.5, 0, 0.6))
    ]
    figures = score(SUBSETS["ptb-test"], given(gold, said, chances=chances))
    macro = {key: value[0] for key, value in figures["macro"].items()}
    # NORM 1 of 2 found, MI all right, CD one missed and one too many; STTC and HYP are not in gold
    assert macro["f1"] == pytest.approx(100 * (2 / 3 + 1 + 1 / 2) / 3, abs=1e-3)
    assert macro["hard_auc"] == pytest.approx(100 * (0.75 + 1 + 0.5) / 3, abs=1e-3)
    assert macro["hamming"] == pytest.approx(100 * 3 / 12, abs=1e-3)
    assert list(figures["classes"]) == ["NORM", "MI", "CD"]
    # And on probabilities: CD's 0.6 stands above one of its own.
    assert macro["auc"] == pytest.approx((1 + 1 + 0.75) / 3, abs=1e-3)
    assert figures["classes"]["CD"]["auc"] == pytest.approx(0.75)
    assert figures["classes"]["NORM"]["sensitivity"] == 50


def test_a_class_without_a_probability_has_no_auc() -> None:
    rows = given(["ABNORMAL, AF", "NORM"], ["AF", "NORM"], chances=[{"NORM": 0.1, "AF": 0.8}, {"NORM": 0.7, "AF": 0.1}])
    figures = score(SUBSETS["code15-test"], rows, rounds=5)
    assert figures["classes"]["ABNORMAL"]["auc"] is None
    assert figures["classes"]["AF"]["auc"] == 1
    assert figures["classes"]["NORM"]["auc"] is None  # gold of both rows: "ABNORMAL" holds it
    assert figures["macro"]["auc"][0] == 1


def test_a_multiple_choice_file_needs_every_row() -> None:
    subset = SUBSETS["mmmu-ecg"]
    with pytest.raises(UserError, match="exactly 200"):
        score(subset, given(["A"] * 199, ["A"] * 199))
    assert score(subset, given(["A"] * 9, ["A"] * 9), part=True)["accuracy"][0] == 100
    figures = score(subset, given(["A. x"] * 200, ["A"] * 150 + ["B"] * 50))
    value, low, high = figures["accuracy"]
    assert low < value == 75 < high
    assert "confidence" not in figures


def test_luck_is_told_apart_and_confidence_is_judged() -> None:
    rows = given(["A"] * 40, ["A"] * 20 + ["no idea"] * 20, likelihoods=[0.9] * 20 + [0.6] * 20)
    figures = score(SUBSETS["mmmu-ecg"], rows, part=True)
    assert figures["accuracy"][0] > figures["without_luck"][0] == 50
    assert figures["drawn_at_random"] == 20
    assert figures["confidence"]["auc"] > 0.5


def test_questions_about_one_record_are_drawn_together() -> None:
    gold, said = ["afib"] * 20, ["afib"] * 19 + ["none"]
    one = given(gold, said, prompt=PROMPT, ids=[f"ptb-xl-{k // 19:05d}-q_{k}" for k in range(20)])
    assert record_of("ptb-xl-03215-q_0") == "ptb-xl-03215"
    assert score(SUBSETS["ecgqa-test"], one)["accuracy"] == [95, 0, 100]


def test_reports_are_scored_by_the_findings_they_name() -> None:
    gold = ["Sinus rhythm. Inferior infarct; LVH.", "Atrial fibrillation without ST depression."]
    said = ["Sinus rhythm. Old inferior myocardial infarction.", "AFIB; RBBB."]
    found = score(SUBSETS["ptb-test-report"], given(gold, said), part=True)["findings"]
    # Named in both: SR, IMI, AFIB; LVH missed, CRBBB one too many.
    assert found["f1"][0] == pytest.approx(100 * 6 / 8)
    assert found["abnormal_f1"][0] == pytest.approx(100 * 4 / 6)
    assert (found["precision"], found["recall"]) == (75, 75)


def test_every_statement_is_found_in_its_own_report() -> None:
    found = {code: names()(Facts({code: 100.0}).report()) for code in statements()}
    assert found == {code: [code] for code in statements()}


def test_no_rows_are_one_line() -> None:
    with pytest.raises(UserError, match="no rows"):
        score(SUBSETS["arena"], [])
