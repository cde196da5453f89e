"""A model that was taught a few questions is asked those, in any words, and says so of the rest."""

from __future__ import annotations

import json

import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.questions import as_taught, asks_for_report, not_taught
from edge_runtime.session import Session

REPORT, RATE = "Write a report.", "How fast is it?"
TAUGHT = [
    {"questions": [REPORT, "Describe it."], "words": ["report", "describe", "show"]},
    {"questions": [RATE, "What is the rate?"], "words": ["rate", "fast"]},
    {"questions": ["What is the axis?"], "words": ["axis"]},
]


@pytest.fixture
def taught(variant):
    return variant(taught=TAUGHT, default_question=REPORT)


@pytest.mark.parametrize(
    ("asked", "want"),
    [
        ("describe  it", REPORT),
        ("what is the RATE", RATE),
        ("Can you tell me the heart rate, please?", RATE),
        ("Describe the rate", RATE),
        ("Show rate and axis", REPORT),
        ("What does this ECG show?", REPORT),
        ("Does this ECG show a Brugada pattern?", None),
        ("Why is the rate so high?", None),
        ("What is this?", None),
        ("?", None),
        ("Liegt ein Infarkt vor?", None),
    ],
)
def test_what_is_asked_in_other_words(taught, asked, want) -> None:
    inference = Bundle.load(taught).manifest.inference
    assert as_taught(asked, inference) == want
    assert asks_for_report(asked, inference) == (want == REPORT)


def test_a_finding_is_asked_in_its_own_words(taught) -> None:
    inference = Bundle.load(taught).manifest.inference
    question = inference.findings[0].question
    assert as_taught(question.upper().replace("?", ""), inference) == question


def test_nano_is_asked_as_it_was_taught() -> None:
    inference = Bundle.load("pulse-nano").manifest.inference
    for asked in ("What is the diagnosis?", "Any abnormalities?", "Was zeigt dieses EKG?", "Please read this ECG."):
        assert asks_for_report(asked, inference), asked
    for asked in ("How many beats per minute?", "Wie schnell schlägt das Herz?", "heart rate"):
        assert as_taught(asked, inference) == "What is the heart rate?", asked
    for asked in ("What should I do?", "Hello", "Which drug helps against this rhythm?", "Is it the same as before?"):
        assert as_taught(asked, inference) is None, asked


def test_each_question_is_asked_of_the_page_alone(taught, page) -> None:
    session = Session.open(taught, threads=1)
    seen = session.look(page)
    first = seen.ask(RATE, findings=False).finish()
    seen.ask("Describe it.", findings=False).finish()
    again = seen.ask("What's the rate?", findings=False).finish()
    assert (again.text, again.token_ids) == (first.text, first.token_ids)
    assert (first.timing.vision_ms > 0, again.timing.vision_ms) == (True, 0)


def test_what_was_not_taught_is_said(taught, page) -> None:
    session = Session.open(taught, threads=1)
    seen = session.look(page)
    told = seen.ask("Why?", findings=False).finish()
    assert told.text == not_taught(session.inference)
    assert told.text.startswith("This model was not taught that question.")
    assert RATE in told.text
    free = session.look(page).ask("Why?", findings=False, unconstrained=True).finish()
    assert free.text != told.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([{"questions": [], "words": ["a"]}], "questions"),
        ([{"questions": ["Another?"], "words": ["a"]}], "default_question is not among those taught"),
        ([{"questions": "a", "words": []}], "questions"),
        ({"questions": ["a"]}, "taught"),
    ],
)
def test_a_wrong_list_is_named(variant, change, said) -> None:
    with pytest.raises(UserError, match=said):
        Bundle.load(variant(taught=change))


def test_a_bundle_lists_what_it_read(taught) -> None:
    inference = Bundle.load(taught).manifest.inference
    assert json.loads(json.dumps(inference.to_dict()["taught"])) == TAUGHT
