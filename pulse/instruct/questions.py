"""Questions about a page and their answers: what the student learns, and what it is asked on the device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pulse.ecg.labels import SUPERCLASS_NAMES
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.facts import NOT_AN_ECG, Facts, classes_text, statement_words
from pulse.instruct.words import finding_words

REPORT = (
    "Write a diagnostic report for this ECG image.",
    "Please write a clinical report based on this ECG image.",
    "What does this ECG show?",
    "Describe this ECG.",
    "Interpret this ECG.",
)
# The form of ECGBench's classification prompts (PULSE, arXiv 2410.19008), with PTB-XL's five classes.
SUPERCLASS = (
    "You are provided with an ECG signal image. Please classify the ECG image into the following diagnostic statement "
    "classes:\nNORM(Normal ECG), MI(Myocardial Infarction), STTC(ST/T Change), CD(Conduction Disturbance), "
    "HYP(Hypertrophy)\nDirectly output the class name and separate with a semicolon.",
    "Which of the classes NORM, MI, STTC, CD, HYP apply to this ECG?",
)
RATE = ("What is the heart rate?", "How fast is the heart beating?")
AXIS = ("What is the electrical axis?", "How is the heart axis?")
RHYTHM = ("What is the rhythm?", "Which rhythm does this ECG show?")
IS_ECG = "Is this a picture of an ECG?"
WHOLE = "Are all twelve leads in the picture?"
WAY_UP = "Which way up is the page?"
WAYS_UP = ("Upright", "On its left side", "Upside down", "On its right side")  # so many quarter turns to the left
# By which words another question is taken for one of these, in English and German.
TAUGHT = (
    (
        REPORT,
        "report interpret interpretation describe description read reading analyse analyze analysis assess evaluate "
        "show shows see diagnosis diagnose diagnoses diagnostic finding findings abnormal abnormality abnormalities "
        "wrong clinical summary summarise summarize befund befunde befunden beschreibe beschreiben zeigt auswerten "
        "auswertung auffällig auffälligkeiten",
    ),
    (
        RATE,
        "rate fast slow bpm beats beating many per minute pulse tachycardic bradycardic frequenz herzfrequenz puls "
        "schnell langsam schläge schlägt pro",
    ),
    (AXIS, "axis achse lagetyp herzachse"),
    (RHYTHM, "rhythm rhythmus herzrhythmus"),
    (SUPERCLASS[::-1], "class classes superclass superclasses klasse klassen"),
)
YES, NO = "Yes", "No"
NOTICE = "For research use only. Not a medical device: never decide on a patient by its answers."

# Findings shown as bars on the device: the superclasses, then statements that are common enough to be learned.
STATEMENTS = ("AFIB", "PACE", "CLBBB", "CRBBB", "1AVB", "LVH", "PVC")


def finding_name(label: str) -> str:
    return SUPERCLASS_NAMES.get(label) or statement_words(label)


def finding_question(label: str) -> str:
    """The yes/no question whose likelihood of "Yes" is the finding's probability."""
    return f"Is this a {finding_name(label)}?" if label == "NORM" else f"Does this ECG show {finding_name(label)}?"


def finding_spec(label: str) -> dict[str, Any]:
    """A superclass or SCP statement as a bundle's manifest lists it."""
    spec = {
        "label": label,
        "name": finding_name(label),
        "question": finding_question(label),
        "yes": YES,
        "no": NO,
        "words": list(finding_words(label)),
    }
    return {**spec, "against": ["abnormal ECG", "abnormal electrocardiogram"]} if label == "NORM" else spec


def finding_specs() -> list[dict[str, Any]]:
    """The findings of a bundle's manifest: the same for every model that reads ECGs."""
    return [finding_spec(label) for label in (*SUPERCLASSES, *STATEMENTS)]


def taught_specs() -> list[dict[str, list[str]]]:
    """The questions in words that training_turns asks, as a bundle's manifest lists them."""
    return [{"questions": list(questions), "words": words.split()} for questions, words in TAUGHT]


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str


def has_finding(facts: Facts, label: str) -> bool:
    return label in (facts.classes() if label in SUPERCLASSES else facts.scp_codes)


@dataclass(frozen=True)
class SoftTarget:
    """What a teacher gives for a page: classes to name when asked which apply, and the probability of yes by label."""

    classes: tuple[str, ...]
    probabilities: Mapping[str, float]


def yes_no(facts: Facts, label: str, rng: np.random.Generator | None = None, soft: SoftTarget | None = None) -> Turn:
    """The label's answer, or one drawn with the soft target's probability: on average that teaches it."""
    if soft is None or rng is None or label not in soft.probabilities:
        yes = has_finding(facts, label)
    else:
        yes = rng.random() < soft.probabilities[label]
    return Turn(finding_question(label), YES if yes else NO)


def report_turn(facts: Facts, rng: np.random.Generator) -> Turn:
    return Turn(_one(REPORT, rng), facts.report())


def superclass_turns(facts: Facts, soft: SoftTarget | None = None) -> list[Turn]:
    """The classes, in every form of the question: a choice of five at once is the hardest answer of them all."""
    listed = facts.classes_text() if soft is None else classes_text(soft.classes)
    return [Turn(question, listed if facts.is_ecg else NOT_AN_ECG) for question in SUPERCLASS]


def known_turns(facts: Facts, rng: np.random.Generator) -> list[Turn]:
    """One turn for each of rate, axis and rhythm that is known."""
    answers = ((RATE, facts.rate_text()), (AXIS, facts.axis_text()), (RHYTHM, facts.rhythm_text()))
    return [Turn(_one(questions, rng), answer) for questions, answer in answers if answer]


def training_turns(facts: Facts, rng: np.random.Generator, soft: SoftTarget | None = None) -> list[list[Turn]]:
    """Dialogues about one page, each to be seen alone behind the image: a report with a follow-up, the classes in each
    form of the question, yes/no for every superclass at its natural share (so that likelihoods are probabilities), two
    further statements, and one measurement. With a soft target the classes and the yes/no are the teacher's, the rest
    stays the labels'. Of a page that lies turned, or is there in part, only that is asked."""
    is_ecg = [Turn(IS_ECG, YES if facts.is_ecg else NO)]
    if not facts.is_ecg:
        return [is_ecg, [report_turn(facts, rng)], *([turn] for turn in superclass_turns(facts))]
    way_up, whole = [Turn(WAY_UP, WAYS_UP[facts.turns])], [Turn(WHOLE, YES if facts.whole else NO)]
    if facts.turns or not facts.whole:
        return [is_ecg, way_up] if facts.turns else [is_ecg, way_up, whole]
    known = known_turns(facts, rng)
    asked = (*SUPERCLASSES, *STATEMENTS)
    follow_ups = [*known, *(yes_no(facts, label, rng, soft) for label in asked)]
    dialogue = [report_turn(facts, rng)]
    if rng.random() < 0.3:
        dialogue.append(follow_ups[int(rng.integers(len(follow_ups)))])
    dialogues = [dialogue, *([turn] for turn in superclass_turns(facts, soft))]
    dialogues += [[yes_no(facts, label, rng, soft)] for label in SUPERCLASSES]
    further = rng.choice(STATEMENTS, 2, replace=False)
    dialogues += [[yes_no(facts, str(label), rng, soft)] for label in further]
    if known:
        dialogues.append([known[int(rng.integers(len(known)))]])
    dialogues += [dialogue for dialogue in (is_ecg, way_up, whole) if rng.random() < 0.2]
    return dialogues


def _one(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
