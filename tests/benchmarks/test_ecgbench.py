"""Every rule of PULSE's evaluation on a case made by hand."""

from __future__ import annotations

import random

import pytest

from benchmarks.ecgbench.parsing import Letters, gold_letter, joined, labels, options, selected
from benchmarks.ecgbench.scoring import score
from benchmarks.ecgbench.subsets import SUBSETS
from edge_runtime.errors import UserError

PROMPT = "Question: Which?\nOptions: Sinus rhythm, afib, none\n\nOnly answer based on the given Options."


def test_the_published_row_counts() -> None:
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
    rows = [PROMPT] * 4
    figures = score(SUBSETS["ecgqa-test"], rows, ["afib"] * 4, ["Afib", "afib, none", "none", "afib."])
    assert figures["accuracy"] == 50


def test_hard_figures_by_hand() -> None:
    gold, said = ["NORM", "MI; CD", "CD", "NORM"], ["NORM", "MI", "CD", "CD"]
    figures = score(SUBSETS["ptb-test"], [""] * 4, gold, said)
    # NORM 1 of 2 found, MI all right, CD one missed and one too many; STTC and HYP are not in gold
    assert figures["f1"] == pytest.approx(100 * (2 / 3 + 1 + 1 / 2) / 3)
    assert figures["hard_auc"] == pytest.approx(100 * (0.75 + 1 + 0.5) / 3)
    assert figures["hamming"] == pytest.approx(100 * 3 / 12)
    assert list(figures["classes"]) == ["NORM", "MI", "CD"]


def test_a_multiple_choice_file_needs_every_row() -> None:
    subset = SUBSETS["mmmu-ecg"]
    with pytest.raises(UserError, match="exactly 200"):
        score(subset, [""] * 199, ["A"] * 199, ["A"] * 199)
    figures = score(subset, [""] * 200, ["A. x"] * 200, ["A"] * 150 + ["B"] * 50)
    assert figures["accuracy"] == 75
    assert figures["interval"][0] < 75 < figures["interval"][1]


def test_free_text_is_not_scored_without_a_judge() -> None:
    with pytest.raises(UserError, match="judge"):
        score(SUBSETS["arena"], ["q"], ["a"], ["a"])
