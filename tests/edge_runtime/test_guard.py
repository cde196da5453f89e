"""A free answer says nothing that the model itself holds unlikely, and nothing twice."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.ask import main
from edge_runtime.guard import LOW, NOTHING_LEFT, Guard
from edge_runtime.inference import FindingSpec
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
    guard = Guard(SPECS, lambda finding: chances.get(finding.label, 0.9))
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
    guard = Guard(SPECS, lambda finding: asked.append(finding.label) or 0.9)
    guard.push("Sinus rhythm. Old infarction")
    assert asked == []
    guard.close()
    assert asked == ["MI"]


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
