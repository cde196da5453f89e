"""Questions about attributes: what is understood, what decides it, and what is left to the decoder."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.constrain import choices
from edge_runtime.evidence import Evidence
from edge_runtime.findings import Finding
from edge_runtime.questions import decide, needs_measuring
from edge_runtime.questions.understand import understand
from edge_runtime.questions.vocabulary import Vocabulary, attributes
from edge_runtime.waves.intervals import Measurements
from edge_runtime.waves.noise import FS, NOISE, noise_mv


@pytest.fixture(scope="module")
def inference():
    return Bundle.load("pulse-nano").manifest.inference


class Page:
    """Knows the probabilities that it is given (0 else) and the measurements."""

    def __init__(self, measurements=None, **likely):
        self._likely = likely
        self.evidence = None if measurements is None else Evidence(None, measurements)

    def finding(self, spec):
        point = spec.calibration.point if spec.calibration else None
        return Finding(spec.label, spec.name, self._likely.get(spec.label, 0.0), point)


def listed(question, *options):
    return f"select all that apply.\nQuestion: {question}\nOptions: {', '.join(options)}\n\nOnly answer."


def answer(inference, page, question):
    decision = decide(question, choices(question), page, inference)
    return None if decision is None or decision.choices is None else decision.choices.options


AF = {"AFIB": 0.9}


@pytest.mark.parametrize(
    ("question", "likely", "expected"),
    [
        ("Does this ECG show symptoms of atrial fibrillation?", AF, ("Yes",)),
        ("Is there any sign of atrial fibrillation on this ECG?", {}, ("No",)),
        ("Can auricular fibrillation be seen here?", AF, ("Yes",)),
        (listed("Does this ECG show symptoms of atrial fibrillation?", "no", "not sure", "yes"), AF, ("yes",)),
        (listed("Which, AF or CLBBB?", "atrial fibrillation", "complete left bundle branch block", "none"), AF,
         ("atrial fibrillation",)),
        (listed("Which, AF or CLBBB?", "atrial fibrillation", "complete left bundle branch block", "none"), {},
         ("none",)),
        (listed("Which classes?", "hypertrophy", "myocardial infarction", "none"), {"MI": 0.9, "HYP": 0.9},
         ("hypertrophy, myocardial infarction",)),
        (listed("Which extra systoles?", "extrasystoles", "ventricular extrasystoles", "none"), {"PVC": 0.9},
         ("extrasystoles, ventricular extrasystoles",)),
        ("Is this a normal ECG?", {"NORM": 0.9}, ("Yes",)),
        ("Does this ECG show any kind of abnormal symptoms?", {"NORM": 0.9}, ("No",)),
    ],
)  # fmt: skip
def test_findings_decide(inference, question, likely, expected):
    assert answer(inference, Page(**likely), question) == expected


RANGES = ("above the normal range", "below the normal range", "within the normal range")


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Does the PR interval of this ECG fall above the normal range?", ("Yes",)),
        ("Is the QRS duration within the normal range?", ("Yes",)),
        (listed("What range does the pr interval of this ECG fall in?", *RANGES), (RANGES[0],)),
        (listed("What numeric features fall above the normal range?", "none", "pr interval", "qrs duration"),
         ("pr interval",)),
        (listed("What range does the rr interval fall in?", *RANGES), (RANGES[1],)),
        ("Does this ECG show left axis deviation?", ("Yes",)),
        (listed("Which direction?", "left axis deviation", "normal heart axis", "none"), ("left axis deviation",)),
    ],
)  # fmt: skip
def test_measurements_decide(inference, question, expected):
    page = Page(Measurements(rate_bpm=120, pr_ms=240, qrs_ms=90, qrs_axis_deg=-50))
    assert needs_measuring(question)
    assert answer(inference, page, question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "What is the rhythm?",
        "Why does this ECG show atrial fibrillation?",
        "Does the second ECG show atrial fibrillation?",
        "Does this ECG show no atrial fibrillation?",
        "Is the patient well?",
        "Does this ECG show left axis deviation?",  # not measured
        "A. NORM\nB. MI",
    ],
)
def test_the_rest_is_the_decoders(inference, question):
    assert answer(inference, Page(**AF), question) is None


def test_what_cannot_be_told_is_said(inference):
    question = listed("Does this ECG show burst noise in lead V2?", "no", "yes")
    decision = decide(question, choices(question), Page(Measurements()), inference)
    assert decision.choices.options == ("no", "yes")
    assert [(each.holds, each.source) for each in decision.because] == [(None, "decoder")]


@pytest.mark.parametrize(
    ("question", "likely", "text"),
    [
        ("Is the PR interval prolonged?", {}, "Cannot be told of this page: pr interval."),
        ("Does this ECG show atrial fibrillation or an old myocardial infarction?", AF, "Atrial fibrillation."),
        ("Is it AF or sinus rhythm?", {}, "None of these."),
        ("Is this atrial fibrillation or burst noise?", AF,
         "Atrial fibrillation; cannot be told of this page: burst noise."),
    ],
)  # fmt: skip
def test_a_question_without_options_is_answered_in_words(inference, question, likely, text):
    decision = decide(question, None, Page(Measurements(), **likely), inference)
    assert (decision.choices, decision.text) == (None, text)


def test_a_stage_needs_an_infarction(inference):
    stages = ("early stage of myocardial infarction", "none of myocardial infarction")
    question = listed("What stage?", *stages)
    assert answer(inference, Page(), question) == (stages[1],)
    assert answer(inference, Page(MI=0.9), question) == stages


@pytest.mark.parametrize(
    "question",
    [
        "Does this ECG show any kind of noises in lead aVL?",
        "Is lead aVL on this ECG showing any signs of interference or distortion?",
        "Does this ECG show any kind of signal distortions in lead aVL?",
    ],
)
def test_paraphrases_are_one_question(question):
    asked = understand(question, None, Vocabulary())
    assert ([a.name for a in asked.attributes], asked.lead) == (["any kind of noises"], "aVL")


def test_a_general_word_gives_way():
    asked = understand("Is there any interference from baseline drift in this ECG recording?", None, Vocabulary())
    assert [a.name for a in asked.attributes] == ["baseline drift"]


def test_names_are_unique_and_found_by_themselves():
    names = [a.name for a in attributes()]
    assert len(names) == len(set(names))
    vocabulary = Vocabulary()
    assert [vocabulary.exact(name).name for name in names] == names


def test_noise_is_measured_where_it_is():
    seconds = np.arange(int(5 * FS)) / FS
    mv = np.zeros((12, len(seconds)))
    mv[1] = 0.6 * np.sin(2 * np.pi * 0.3 * seconds)
    mv[7] = 0.05 * np.random.default_rng(0).standard_normal(len(seconds))
    mv[9] = np.nan
    assert noise_mv("drift", mv, "II") == pytest.approx(1.2, abs=0.2)
    assert noise_mv("drift", mv) == noise_mv("drift", mv, "II")
    assert noise_mv("static", mv, "V2") > NOISE["static"][1] > noise_mv("static", mv, "II")
    assert noise_mv("static", mv, "V4") is None


def test_a_session_answers_and_tells_why(variant, page):
    from edge_runtime.session import Session

    calibration = {"slope": 1.0, "offset": 20.0, "point": 0.5, "sensitivity": None, "precision": None, "positives": 30}
    asked = {"question": "Is there sinus rhythm?", "yes": " Yes", "no": " No", "words": ["sinus rhythm"]}
    spec = {**asked, "label": "SR", "name": "sinus rhythm", "calibration": calibration}
    session = Session.open(variant(further=[spec]), threads=1)
    assert session.inference.to_dict()["further"] == [spec]
    seen = session.look(page)
    answer = seen.ask("Does this ECG show sinus rhythm?", findings=False).finish()
    assert answer.text == "Yes"
    assert [(each.what, each.holds, each.source) for each in answer.because] == [("sinus rhythm", True, "question")]
    assert seen.ask("Does this ECG show sinus rhythm?", findings=False, unconstrained=True).finish().because == ()
    assert all(found.label != "SR" for found in seen.findings()), "a further question is not listed"
