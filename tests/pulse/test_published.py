"""PULSE's own JSON: a multi-turn entry as published, and the lines for what is none."""

from __future__ import annotations

import json

import pytest

from edge_runtime.errors import UserError
from pulse.instruct.published import read_published
from pulse.instruct.questions import Turn

ENTRY = {
    "id": "mimic-1",
    "image": "mimic/p1/1-0.png",
    "conversations": [
        {"from": "human", "value": "<image>\nWhat is the rhythm?"},
        {"from": "gpt", "value": "Sinus rhythm."},
        {"from": "human", "value": "And the axis?"},
        {"from": "gpt", "value": "Normal."},
    ],
}


def test_a_dialogue_keeps_its_turns(tmp_path):
    path = tmp_path / "ECGInstruct.json"
    path.write_text(json.dumps([ENTRY]))
    (read,) = read_published(path, tmp_path / "images")
    assert read.id == "mimic-1"
    assert read.image == tmp_path / "images/mimic/p1/1-0.png"
    assert read.turns == (Turn("What is the rhythm?", "Sinus rhythm."), Turn("And the axis?", "Normal."))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "no list"),
        (json.dumps([ENTRY, {**ENTRY, "conversations": ENTRY["conversations"][:3]}]), "entry 1 is no conversation"),
        (json.dumps([{"id": "x"}]), "entry 0 is no conversation"),
    ],
)
def test_what_is_no_conversation_is_one_line(tmp_path, text, words):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError, match=words):
        list(read_published(path, tmp_path))
