"""What a text names: longest phrase, whole words, denials."""

from __future__ import annotations

import pytest

from edge_runtime.named import Names

NAMES = Names({
    "MI": ("infarction", "anterior myocardial infarction"),
    "AMI": ("anterior myocardial infarction",),
    "LBBB": ("left bundle branch block", "LBBB"),
    "ILBBB": ("incomplete left bundle branch block",),
    "STD": ("ST depression",),
})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Anterior myocardial infarction.", ["MI", "AMI"]),
        ("Old infarctions; LBBB", ["MI", "LBBB"]),
        ("Incomplete left bundle branch block", ["ILBBB"]),
        ("reinfarction", []),
        ("No infarction or LBBB. ST depression of 0.12 mV", ["STD"]),
        ("No infarction but LBBB", ["LBBB"]),
        ("Sinus rhythm, without ST depression\nLBBB", ["LBBB"]),
        ("Normal ECG", []),
    ],
)
def test_named(text, labels):
    assert NAMES(text) == labels


def test_no_words_name_nothing():
    assert Names({})("infarction; LBBB") == []
