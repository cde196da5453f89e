"""The measured numbers in a model's words: what is replaced, what is kept, and that nothing is hidden."""

from __future__ import annotations

import pytest

from edge_runtime.answer import Answer, Timing, evidence_json, with_evidence
from edge_runtime.evidence import Evidence
from edge_runtime.replaced import Rewriting, replace
from edge_runtime.waves.intervals import Measurements
from edge_runtime.waves.normal import NORMAL, axis_name, judge

FOUND = Evidence(None, Measurements(rate_bpm=72.2, pr_ms=168.0, qrs_ms=92.0, qt_ms=380.0, qrs_axis_deg=-40.0))
NOTHING = Evidence(None, Measurements(), "nothing, no grid was found")
REPORT = "Sinus rhythm. About 90 beats per minute. Normal axis. Normal ECG. Conclusion: normal ECG."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("About 90 beats per minute.", "72 beats per minute (measured; the model said 90)."),
        ("A rate of about 70 bpm", "A rate of 72 bpm (measured)"),
        ("**Heart Rate**: 75", "**Heart Rate**: 72 (measured)"),
        ("Normal axis.", "Left axis deviation, -40 degrees (measured; the model said normal axis)."),
        ("there is left axis deviation", "there is left axis deviation (measured: -40 degrees)"),
        ("axis of 45°", "axis of -40° (measured; the model said 45)"),
        ("PR interval is 0.16 seconds", "PR interval is 168 ms (measured)"),
        ("QRS duration of 120 ms", "QRS duration of 92 ms (measured; the model said 120)"),
        ("QTc (Fridericia): 480 ms", "QTc (Fridericia): 404 ms (measured; the model said 480)"),
        ("corrected QT interval (Bazett) 410 ms", "corrected QT interval (Bazett) 417 ms (measured)"),
        ("Prolonged PR interval of 220 ms", "Prolonged PR interval of 168 ms (measured: normal; the model said 220)"),
        ("QTc is prolonged at 425 ms", "QTc is prolonged at 417 ms (measured: normal)"),
        ("QRS 94 ms, which is wide", "QRS 92 ms (measured), which is wide"),
        (
            "a short PR of 0.10 s and a normal QRS of 90 ms",
            "a short PR of 168 ms (measured: normal; the model said 0.10 s) and a normal QRS of 92 ms (measured)",
        ),
        ("a PR of 170 ms is not prolonged", "a PR of 168 ms (measured) is not prolonged"),
    ],
)
def test_a_number_is_the_measured_one_and_the_model_s_stays_where_it_differs(said, told):
    assert replace(said, FOUND.values)[0] == told


def test_words_that_a_value_does_not_fit_are_told_of():
    wide = Evidence(None, Measurements(rate_bpm=60.0, pr_ms=230.0, qrs_ms=140.0, qt_ms=455.0)).values
    assert replace("Normal PR interval (150 ms).", wide)[0] == (
        "Normal PR interval (230 ms (measured: prolonged; the model said 150))."
    )
    assert replace("Narrow QRS complex of 90 ms.", wide)[0] == (
        "Narrow QRS complex of 140 ms (measured: wide; the model said 90)."
    )
    # 455 ms is long in men alone: neither word is wrong.
    assert replace("QTc normal at 450 ms", wide)[0] == "QTc normal at 455 ms (measured)"
    assert replace("QTc prolonged at 450 ms", wide)[0] == "QTc prolonged at 455 ms (measured)"


@pytest.mark.parametrize(
    "said",
    [
        "normal range 60-100 bpm",
        "between 60 and 100 bpm",
        "a rate of over 100 bpm",
        "the PR interval exceeds 200 ms",
        "QRS < 120 ms",
        "QRS duration is 80-100 ms",
        "PR interval (120-200 ms) is normal",
        "an atrial rate of about 300 bpm",
        "no right axis deviation",
        "P axis 50 degrees",
        "QT/QTc 400/420 ms",
        "30 beats were seen in 10 s",
    ],
)
def test_limits_ranges_denials_and_what_is_not_understood_stay(said):
    assert replace(said, FOUND.values) == (said, [])


def test_what_could_not_be_measured_is_said():
    told, places = replace("About 90 beats per minute. Left axis deviation. PR 160 ms.", NOTHING.values)
    assert (
        told
        == "About 90 beats per minute (not measured). Left axis deviation (not measured). PR 160 ms (not measured)."
    )
    assert [(one.what, one.measured, one.differs) for one in places] == [
        ("rate_bpm", None, False),
        ("qrs_axis_deg", None, False),
        ("pr_ms", None, False),
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_pieces_of_any_size_give_one_text(size):
    numbers = Rewriting(FOUND, report=True)
    text = "".join(numbers.push(REPORT[at : at + size]) for at in range(0, len(REPORT), size)) + numbers.close()
    assert text == (
        "Sinus rhythm. 72 beats per minute (measured; the model said 90). Left axis deviation, -40 degrees (measured; "
        "the model said normal axis). Normal ECG. Conclusion: normal ECG. Measured: PR 168 ms, QRS 92 ms, QT 380 ms, "
        "QTc (Bazett) 417 ms."
    )
    assert [one.differs for one in numbers.replaced] == [True, True]


def test_a_report_says_what_was_not_found():
    fibrillation = Evidence(None, Measurements(rate_bpm=72.2, qrs_ms=92.0, qt_ms=380.0, qrs_axis_deg=10.0))
    numbers = Rewriting(fibrillation, report=True)
    told = numbers.push("Atrial fibrillation. About 70 beats per minute. Normal axis.") + numbers.close()
    assert told.endswith("Measured: QRS 92 ms, QT 380 ms, QTc (Bazett) 417 ms; not found: PR.")
    numbers = Rewriting(NOTHING, report=True)
    assert numbers.push("- Rhythm: sinus\n- Rate: 80 bpm") + numbers.close() == (
        "- Rhythm: sinus\n- Rate: 80 bpm (not measured)\nMeasured: nothing, no grid was found."
    )


def test_an_answer_carries_its_evidence():
    def steps():
        yield "About 90 beats"
        yield " per minute."
        return Answer("About 90 beats per minute.", [1], "stop", [], None, Timing(0, 0, 0, 0, 0, 1, 0))

    def told(in_words):
        pieces, run = [], with_evidence(steps(), FOUND, in_words, report=False)
        while True:
            try:
                pieces.append(next(run))
            except StopIteration as stop:
                return "".join(pieces), stop.value

    text, answer = told(True)
    assert text == answer.text == "72 beats per minute (measured; the model said 90)."
    assert evidence_json(answer)["replaced"] == [
        {"what": "rate_bpm", "said": "About 90 beats per minute", "measured": 72, "differs": True}
    ]
    text, answer = told(False)
    assert text == answer.text == "About 90 beats per minute."
    assert answer.evidence is FOUND


def test_axes_and_ranges_have_the_limits_of_their_sources():
    names = [axis_name(degrees) for degrees in (-120, -60, -45, -30, 0, 90, 91, 150)]
    assert names == [
        "extreme axis deviation", "marked left axis deviation", "left axis deviation", "normal axis", "normal axis",
        "normal axis", "right axis deviation", "marked right axis deviation",
    ]  # fmt: skip
    judged = [NORMAL["qtc_bazett_ms"].judge(value) for value in (390, 391, 449.4, 450, 459, 460)]
    assert judged == ["low", "normal", "normal", "high_in_men", "high_in_men", "high"]
    assert [NORMAL["qrs_ms"].judge(value) for value in (60, 110, 111)] == ["normal", "normal", "high"]
    axes = [judge("qrs_axis_deg", value) for value in (-31, -30, 90, 91)]
    assert [*axes, judge("qt_ms", 999)] == ["left", "normal", "normal", "right", "normal"]
