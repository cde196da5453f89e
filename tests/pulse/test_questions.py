"""Labels become the right sentences, and yes/no questions keep their natural share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.questions import as_taught
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.published import questions
from pulse.instruct.facts import NOT_AN_ECG, Facts
from pulse.instruct.questions import (
    IS_ECG,
    NO,
    NOTICE,
    REPORT,
    STATEMENTS,
    WAY_UP,
    WHOLE,
    YES,
    finding_question,
    finding_specs,
    superclass_turns,
    taught_specs,
    training_turns,
    yes_no,
)

INFARCT = Facts({"IMI": 35.0, "LAFB": 100.0, "SR": 0.0}, "LAD", 73.0)


def test_report_says_rhythm_rate_axis_findings_and_conclusion() -> None:
    assert INFARCT.report() == (
        "Sinus rhythm. About 75 beats per minute. Left axis deviation. Inferior myocardial infarction; left anterior "
        "fascicular block. Conclusion: abnormal ECG."
    )


def test_what_is_not_known_is_not_said() -> None:
    assert Facts({"NORM": 100.0}).report() == "Normal ECG. Conclusion: normal ECG."


def test_an_unsaid_statement_counts_for_the_classes_alone() -> None:
    quiet = replace(INFARCT, unsaid=frozenset({"LAFB", "SR"}))
    assert quiet.report() == INFARCT.report().replace("Sinus rhythm. ", "").replace(
        "; left anterior fascicular block", ""
    )
    assert quiet.rhythm_text() == ""
    assert quiet.classes() == INFARCT.classes() == ("MI", "CD")


def test_superclasses_in_ecgbench_form() -> None:
    assert {turn.answer for turn in superclass_turns(INFARCT)} == {"MI; CD"}
    assert superclass_turns(Facts({"AFLT": 100.0}))[0].answer == "None of these"
    assert superclass_turns(Facts(is_ecg=False))[0].answer == NOT_AN_ECG


@pytest.mark.parametrize(
    ("label", "answer"), [("MI", YES), ("CD", YES), ("HYP", NO), ("NORM", NO), ("AFIB", NO), ("LVH", NO)]
)
def test_yes_and_no(label: str, answer: str) -> None:
    assert yes_no(INFARCT, label).answer == answer


def test_every_superclass_is_asked_of_every_ecg_and_none_of_other_pictures() -> None:
    asked = [t.question for dialogue in training_turns(INFARCT, np.random.default_rng(3)) for t in dialogue]
    assert all(finding_question(label) in asked for label in ("NORM", "MI", "STTC", "CD", "HYP"))
    assert len({finding_question(label) for label in STATEMENTS}) == len(STATEMENTS)
    answers = {t.question: t.answer for d in training_turns(Facts(is_ecg=False), np.random.default_rng(3)) for t in d}
    assert answers[IS_ECG] == NO


def test_what_is_asked_of_published_checkpoints_is_what_is_taught() -> None:
    assert questions() == {"default_question": REPORT[0], "findings": finding_specs(), "notice": NOTICE}


def test_the_student_lists_what_it_learns() -> None:
    inference = Checkpoint.open("pulse-nano").config.inference
    assert inference.to_dict()["taught"] == taught_specs()
    for seed in range(20):
        for dialogue in training_turns(INFARCT, np.random.default_rng(seed)):
            for turn in dialogue:
                known = as_taught(turn.question, inference) is not None
                assert known or turn.question in (WAY_UP, WHOLE), turn.question  # the shipped weights are older
