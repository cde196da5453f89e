"""Task ecgqa: ECG-QA's files become ECGBench's questions, exact sets are scored, and what is no file of it is named."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmarks.task import Answered
from benchmarks.tasks import TASKS, _ecgqa
from edge_runtime.errors import UserError

LISTED = "template_id,classes\n1,\"['no', 'yes']\"\n37,\"['a b', 'c', 'd', 'none']\"\n"


def row(kind, template, ecg_id, answer, attribute):
    return {
        "template_id": template,
        "question_type": kind,
        "attribute_type": "noise",
        "question": "Which?",
        "answer": answer,
        "ecg_id": ecg_id,
        "attribute": attribute,
    }


@pytest.fixture
def folder(tmp_path):
    rows = [
        row("single-verify", 1, [7], ["yes"], ["a b"]),
        row("single-choose", 37, [7], ["none"], ["a b", "d"]),
        row("single-query", 37, [8], ["a b", "c"], ["a b"]),
        row("comparison_irrelevant-query", 37, [7, 8], ["c"], None),
        row("single-verify", 1, [9], ["no"], ["a b"]),
    ]
    (tmp_path / "template").mkdir()
    (tmp_path / "template" / "0.json").write_text(json.dumps(rows))
    (tmp_path / "answers_for_each_template.csv").write_text(LISTED)
    return tmp_path


def test_single_questions_of_the_records_alone(folder):
    found = _ecgqa.real(folder, "template", {7, 8})
    assert {ecg_id: [turn.answer for turn in turns] for ecg_id, turns in found.items()} == {
        7: ["yes", "none"],
        8: ["a b, c"],
    }
    assert "Options: a b, d, none\n" in found[7][1].question  # a choice lists what it names
    assert "Options: a b, c, d, none\n" in found[8][0].question
    assert found[8][0].kind == "single-query/noise/37"


def test_exact_sets_by_type_beside_the_most_frequent_answer(folder):
    found = _ecgqa.real(folder, "template", {7, 8, 9})
    answers = {7: ("Yes.", "none"), 8: ("a b",), 9: ("yes",)}
    rows = [
        Answered(str(i), str(i), turns, answers[i], sources=("finding",) * len(turns)) for i, turns in found.items()
    ]
    figures = TASKS.load("ecgqa").score(rows, argparse.Namespace())
    assert (figures["all"]["questions"], figures["all"]["accuracy"][0]) == (5 - 1, 50)
    assert figures["types"]["single-query"]["accuracy"][0] == 0  # "c" was missing
    assert figures["types"]["single-choose"]["accuracy"][0] == 100
    assert figures["types"]["single-verify"]["majority"][0] == 50
    assert "single-query/noise" in TASKS.load("ecgqa").as_text(figures)
    assert Answered.from_json(rows[0].as_json()).sources == rows[0].sources


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("template/0.json", "[{}]", "no file of ECG-QA's"),
        ("template/0.json", "no JSON", "no file of ECG-QA's"),
        ("answers_for_each_template.csv", "template_id,classes\n1,[", "give --questions"),
    ],
)
def test_what_is_none_of_its_files_is_named(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=message):
        _ecgqa.real(folder, "template", {7})


class Labels:
    def scp_codes(self, ecg_id):
        return {"LVH": 100.0, "AFIB": 0.0}

    def about(self, ecg_id):
        return {"heart_axis": "ALAD"}


def test_generated_questions_follow_the_labels():
    listed = {
        3: ("hypertrophy", "myocardial infarction", "conduction disturbance", "none"),
        6: ("q waves present", "abnormal qrs", "none"),
        7: ("atrial fibrillation", "sinus rhythm", "atrial flutter", "bigeminal pattern (a, b)", "none"),
        21: ("left axis deviation", "normal heart axis", "right axis deviation", "none"),
    }
    turns = _ecgqa.generated(Labels(), [1], listed)[1]
    queries = {turn.kind: turn for turn in turns if turn.kind.startswith("single-query")}
    assert [turn.answer for turn in queries.values()] == [
        "hypertrophy",
        "none",
        "atrial fibrillation",
        "left axis deviation",
    ]
    assert "bigeminal" not in queries["single-query/scp_code/7"].question  # its comma would end the option
    assert len(turns) == 12
    assert turns == _ecgqa.generated(Labels(), [1], listed)[1]
