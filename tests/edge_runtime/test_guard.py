"""A free answer says nothing that the model itself holds unlikely, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.ask import main
from edge_runtime.constrain import Choices
from edge_runtime.findings import Finding
from edge_runtime.guard import ALSO, LOW, NOTHING_LEFT, Guard, decided
from edge_runtime.inference import Calibration, FindingSpec
from edge_runtime.named import Names
from edge_runtime.session import Session


def spec(label, *words):
    return FindingSpec(label, words[0], "?", "Yes", "No", words)


SPECS = (
    spec("MI", "infarction", "anterior infarction"),
    spec("LVH", "ventricular hypertrophy"),
    spec("NORM", "normal ECG"),
)
REPORT = "Sinus rhythm. Anterior infarction; ventricular hypertrophy; left axis. Conclusion: abnormal ECG."


def guarded(text, **chances):
    """The text when it arrives letter by letter, and what was left out."""
    guard = Guard(SPECS, lambda finding: Finding(finding.label, finding.name, chances.get(finding.label, 0.9)))
    return "".join(map(guard.push, text)) + guard.close(), guard.left_out


@pytest.mark.parametrize(
    ("text", "chances", "passed"),
    [
        (REPORT, {}, REPORT),
        (REPORT, {"MI": LOW}, REPORT),
        (REPORT, {"MI": 0.05}, REPORT.replace("Anterior infarction; v", "V")),
        (REPORT, {"LVH": 0.05}, REPORT.replace("ventricular hypertrophy; ", "")),
        (REPORT, {"NORM": 0.0}, REPORT),  # "abnormal ECG" does not name it
        ("Rate 70; infarction. QRS 0.12 s.", {"MI": 0.05}, "Rate 70. QRS 0.12 s."),
        ("Rate 70; infarction", {"MI": 0.05}, "Rate 70."),
        ("No infarction.", {"MI": 0.05}, "No infarction."),
        ("Old infarction; old infarction; left axis.", {}, "Old infarction; left axis."),
        ("Yes", {}, "Yes"),
        ("", {}, ""),
        ("Infarction. Normal ECG.", {"MI": 0.05, "NORM": 0.05}, NOTHING_LEFT),
        ("1. Infarction.\n2. Left axis.", {"MI": 0.05}, "2. Left axis."),
    ],
)
def test_what_passes(text, chances, passed):
    assert guarded(text, **chances)[0] == passed


def test_what_is_left_out_is_told():
    text = "Anterior infarction; left axis; left axis."
    assert guarded(text, MI=0.05) == ("Left axis.", ["Anterior infarction", "left axis"])


def test_only_what_is_named_is_asked_for():
    asked = []
    guard = Guard(SPECS, lambda finding: asked.append(finding.label) or Finding(finding.label, finding.name, 0.9))
    guard.push("Sinus rhythm. Old infarction")
    assert asked == []
    guard.close()
    assert asked == ["MI"]


POINT = 0.3
MEASURED = tuple(replace(one, calibration=Calibration(point=POINT)) for one in SPECS)
LARGE = replace(spec("HYP", "hypertrophy", "ventricular hypertrophy"), calibration=Calibration(point=POINT))
MEASURED = (*MEASURED[:2], replace(MEASURED[2], against=("abnormal ECG",)), LARGE)


def reported(text, report=True, **chances):
    """A report of a bundle whose findings have operating points; findings are unlikely unless a chance is given."""

    def score(finding):
        return Finding(finding.label, finding.name, chances.get(finding.label, 0.1), POINT)

    guard = Guard(MEASURED, score, report)
    return "".join(map(guard.push, text)) + guard.close()


@pytest.mark.parametrize(
    ("text", "chances", "passed"),
    [
        ("Rate 70. Infarction.", {"MI": 0.3}, "Rate 70. Infarction."),
        ("Rate 70. Infarction.", {"MI": 0.29}, "Rate 70."),
        ("Rate 70.", {"MI": 0.3}, f"Rate 70. {ALSO}infarction."),
        (
            "Rate 70; left axis",
            {"MI": 0.3, "LVH": 0.9},
            f"Rate 70; left axis. {ALSO}infarction; ventricular hypertrophy.",
        ),
        ("Infarction.", {"LVH": 0.4}, f"{ALSO}ventricular hypertrophy."),
        ("Rate 70. No other findings.", {"MI": 0.3}, f"Rate 70. {ALSO}infarction."),
        ("Infarction. No other findings.", {"MI": 0.3}, "Infarction. No other findings."),
        ("Rate 70. Conclusion: abnormal ECG.", {"NORM": 0.5}, f"Rate 70. {ALSO}normal ECG."),
        ("Rate 70. Conclusion: abnormal ECG.", {}, "Rate 70. Conclusion: abnormal ECG."),
        ("Infarction.", {}, NOTHING_LEFT),
        # A kind of it is not the whole of it.
        ("Ventricular hypertrophy.", {"LVH": 0.3}, "Ventricular hypertrophy."),
        ("Hypertrophy.", {"LVH": 0.3}, f"{ALSO}ventricular hypertrophy."),
        ("Rate 70.", {"LVH": 0.3, "HYP": 0.3}, f"Rate 70. {ALSO}ventricular hypertrophy."),
        ("Ventricular hypertrophy.", {"LVH": 0.3, "HYP": 0.3}, "Ventricular hypertrophy."),
        ("Ventricular hypertrophy.", {"HYP": 0.3}, f"{ALSO}hypertrophy."),
    ],
)
def test_a_report_names_what_reaches_its_point_and_nothing_else(text, chances, passed):
    assert reported(text, **chances) == passed


def test_an_answer_that_is_no_report_is_not_added_to():
    assert reported("Rate 70.", report=False, MI=0.9) == "Rate 70."


def test_a_report_that_was_cut_off_is_not_added_to():
    guard = Guard(MEASURED, lambda finding: Finding(finding.label, finding.name, 0.9, POINT), True)
    assert guard.push("Rate 70. In") + guard.close(finished=False) == "Rate 70. In"


@pytest.mark.parametrize(
    ("text", "chance", "changed"), [("Rate 70.", 0.1, False), ("Rate 70.", 0.9, True), ("Infarction.", 0.1, True)]
)
def test_it_says_whether_it_changed_anything(text, chance, changed):
    guard = Guard(MEASURED, lambda f: Finding(f.label, f.name, chance if f.label == "MI" else 0.1, POINT), True)
    guard.push(text)
    guard.close()
    assert guard.changed is changed


def test_words_and_table_agree_whatever_a_model_writes():
    """Three hundred reports out of clauses at random, chances at random: named is what reaches its point."""
    rng = np.random.default_rng(0)
    clauses = ("Sinus rhythm", "Infarction", "No infarction", "Ventricular hypertrophy", "Normal ECG", "Abnormal ECG")
    names = Names({spec.label: spec.words for spec in MEASURED})
    for _ in range(300):
        chances = {spec.label: float(rng.random()) for spec in MEASURED[:3]}
        text = ". ".join(rng.choice(clauses, int(rng.integers(1, 6)))) + "."
        said = reported(text, **chances)
        assert set(names(said)) - {"HYP"} == {label for label, chance in chances.items() if chance >= POINT}, (
            text,
            said,
        )


SEVERAL = Choices(("MI", "CD", "HYP"), "; ")


@pytest.mark.parametrize(
    ("chances", "left"),
    [
        ((0.9, 0.1, 0.4), "MI; HYP"),
        ((0.1, 0.3, 0.1), "CD"),
        ((0.01, 0.1, 0.2), "HYP"),
        ((0.3, 0.3, 0.3), "MI; CD; HYP"),
    ],
)
def test_classes_with_operating_points_are_those_that_reach_theirs(chances, left):
    found = [Finding(label, label, chance, 0.3) for label, chance in zip(SEVERAL.options, chances, strict=True)]
    assert decided(SEVERAL, found) == Choices((left,))


def test_other_choices_are_the_models():
    found = [Finding(label, label, 0.9, 0.3) for label in SEVERAL.options]
    assert decided(Choices(SEVERAL.options), found).options == SEVERAL.options  # one of them
    assert decided(SEVERAL, found[:2]) == SEVERAL  # one that is no finding
    assert decided(SEVERAL, [*found[:2], Finding("HYP", "h", 0.9)]) == SEVERAL  # one without a point


@pytest.fixture
def wordy(tiny, variant, page):
    """The bundle, with a finding that is named by a word of its answer and is never likely."""
    assert "ECG" in tiny.tokenizer.decode(tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8))
    never = {"label": "X", "name": "x", "question": "x?", "yes": " 心電図心電図心電図", "no": "i", "words": ["ECG"]}
    return variant(findings=[never])


def test_a_session_leaves_out_and_goes_on_from_what_it_said(tiny, wordy, page):
    seen = Session.open(wordy, threads=1).look(page)
    reply = seen.ask("rhythm?")
    pieces = list(reply)
    answer = reply.finish()
    assert "".join(pieces) == answer.text == NOTHING_LEFT
    assert answer.token_ids == tiny.ids(NOTHING_LEFT)
    assert len(answer.left_out) == 1
    follow = tiny.twin.embed([*answer.token_ids, 1, *tiny.ids("USER: a ASSISTANT:")])
    expected = tiny.twin.greedy(np.concatenate([tiny.prompt(page, "rhythm?"), follow]), 3)
    assert seen.ask("a", max_new_tokens=3, unconstrained=True).finish().token_ids == expected


def test_free_says_it_all(tiny, wordy, page):
    answer = Session.open(wordy, threads=1).look(page).ask("rhythm?", unconstrained=True).finish()
    assert answer.token_ids == tiny.twin.greedy(tiny.prompt(page, "rhythm?"), 8)
    assert answer.left_out == ()


def test_the_command_tells_what_it_left_out(wordy, page_file, capsys):
    assert main([str(wordy), str(page_file), "rhythm?"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(NOTHING_LEFT)
    assert "left out, as unlikely" in said
