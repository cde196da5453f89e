"""ECGInstruct out of records: what is measured, what is asked, and that every answer is true of its record."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pulse.ecg.ptbxl import PtbXl
from pulse.instruct.converse import CHOICE, CLOSE, FILL, MOST_TURNS, OPEN, conversations
from pulse.instruct.facts import Facts
from pulse.instruct.intervals import Intervals, heart_rate, measure
from pulse.instruct.items import Known, machine_words
from pulse.instruct.samples import known

PTBXL = Path(__file__).parents[1] / "data" / "ptbxl"
KNOWN = Known(
    Facts({"IMI": 35.0, "LAFB": 100.0, "SR": 0.0}, "LAD", 73.0),
    Intervals(73.0, 160, 80, 380),
    ("sinus rhythm", "left anterior fascicular block"),
)


def pieces(about: Known, seeds: int = 60, count: int = 6):
    rngs = (np.random.default_rng(seed) for seed in range(seeds))
    return [piece for rng in rngs for talk in conversations(about, count, rng) for piece in talk]


def test_intervals_of_real_records() -> None:
    database = PtbXl(PTBXL)
    for record in database:
        found = measure(record)
        assert found.rate == heart_rate(record)
        assert found.rate is not None
        assert 30 < found.rate < 150
        for value in (found.pr, found.qrs, found.qt, found.qtc):
            assert value is None or value % 10 == 0
    normal = measure(database[10])  # its report: sinus rhythm, normal ECG
    assert 120 <= normal.pr <= 200
    assert 60 <= normal.qrs <= 100
    assert 340 <= normal.qtc <= 450


def test_intervals_of_a_flat_line_are_not_known() -> None:
    record = next(iter(PtbXl(PTBXL)))
    object.__setattr__(record, "signal", np.zeros_like(record.signal))
    assert measure(record) == Intervals()


def test_bazett() -> None:
    assert Intervals(60.0, qt=400).qtc == 400
    assert Intervals(90.0, qt=400).qtc == 490
    assert Intervals(None, qt=400).qtc is None


@pytest.mark.parametrize(
    ("codes", "measured", "pr", "qrs", "qt"),
    [
        ((), 80, None, 80, None),  # a PR of 220 and a QTc of 490 that no cardiologist remarked on
        (("1AVB", "LNGQT"), 80, 220, 80, 400),
        (("1AVB", "AFIB"), 80, None, 80, None),
        (("1AVB", "CRBBB"), 80, 220, None, None),
        (("1AVB", "CRBBB"), 140, 220, 140, None),
        (("1AVB",), 140, 220, None, None),  # a wide QRS without a word of a block
        (("1AVB", "IRBBB"), 120, 220, 120, None),  # may be wide
    ],
)
def test_what_contradicts_the_cardiologist_is_not_known(codes, measured, pr, qrs, qt) -> None:
    agreed = Intervals(90.0, 220, measured, 400).agreeing(dict.fromkeys(codes, 100.0))
    assert agreed == Intervals(90.0, pr, qrs, qt)


def test_machine_statements_read_on() -> None:
    texts = {"NSR": "Normal sinus rhythm", "LPAREN": "(", "RAVL": "R in aVL", "RPAREN": ")", "AU": ", age undetermined",
             "ASMI": "Anteroseptal infarct", "ILT": "T wave abnormality", "COMMA": ","}  # fmt: skip
    acronyms = ("NSR", "LPAREN", "RAVL", "COMMA", "RPAREN", "ASMI", "AU", "ILT", "UNKNOWN")
    said = machine_words(acronyms, texts)
    assert said == ("normal sinus rhythm", "anteroseptal infarct, age undetermined", "T wave abnormality")


def test_every_family_and_form_is_made_in_many_words() -> None:
    made = pieces(KNOWN)
    kinds = {(piece.family, piece.form) for piece in made}
    forms = {OPEN, CLOSE, FILL, CHOICE}
    assert kinds == {("report", OPEN), *((f, k) for f in ("feature", "rhythm", "morphology") for k in forms)}
    questions = {re.sub(r"\n.*", "", piece.turn.question, flags=re.DOTALL) for piece in made}
    assert len(questions) > 100
    reports = [piece.turn.answer for piece in made if piece.family == "report"]
    assert len(set(reports)) == 4
    for report in reports:
        for part in ("inus rhythm", "160 ms", "eft axis", "nferior myocardial", "left anterior", "bnormal ECG"):
            assert part in report


def test_answers_are_true() -> None:
    true = {"73 beats per minute", "160 ms", "80 ms", "380 ms", "420 ms", "left axis deviation", "sinus rhythm",
            "inferior myocardial infarction", "left anterior fascicular block"}  # fmt: skip
    for piece in pieces(KNOWN):
        question, answer = piece.turn.question, piece.turn.answer
        if piece.form == CHOICE:
            options = re.findall(r"^[A-D]\. .*$", question, re.MULTILINE)
            assert len(set(options)) == 4
            assert answer in options
            assert [option for option in options if option[3:] in true and _right(question, option[3:])] == [answer]
        elif piece.form == CLOSE:
            claimed = [value for value in true if value in question and _right(question, value)]
            assert answer.startswith("Yes") == bool(claimed), (question, answer)
        elif piece.form == FILL:
            assert {part.lower() for part in answer.split("; ")} <= true


def _right(question: str, value: str) -> bool:
    """Whether a question about an interval is about the one with this value."""
    names = {"160 ms": "PR interval", "80 ms": "QRS duration", "380 ms": "QT interval", "420 ms": "corrected QT"}
    return names.get(value, "") in question and (value != "380 ms" or "corrected" not in question)


def test_talks_have_one_to_four_turns_and_no_question_twice() -> None:
    lengths = set()
    for seed in range(40):
        talks = conversations(KNOWN, 5, np.random.default_rng(seed))
        assert len(talks) == 5
        assert talks[0][0].family == "report"
        for talk in talks:
            lengths.add(len(talk))
            assert len({piece.turn.question for piece in talk}) == len(talk)
    assert lengths == set(range(1, MOST_TURNS + 1))


def test_a_record_of_which_nothing_is_known_still_has_a_report() -> None:
    (talk,) = conversations(Known(Facts()), 1, np.random.default_rng(0))
    assert "bnormal ECG" in talk[0].turn.answer


def test_a_record_brings_its_labels_and_measurements() -> None:
    about = known(PtbXl(PTBXL)[281], ("left axis deviation",))
    assert {item.subject for item in about.values()} >= {"heart rate", "PR interval", "QRS duration"}
    assert [item.kind for item in about.sets()] == ["finding", "statement of the analysis program"]
