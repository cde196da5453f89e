"""Similar cases in the app's words."""

from __future__ import annotations

from demo_app.similar import in_words
from edge_runtime.findings import Finding
from edge_runtime.similar import Case

SOURCE = "PTB-XL 1.0.3 (Wagner et al. 2020), CC BY 4.0"
FINDINGS = [
    Finding("NORM", "normal ECG", 0.9),
    Finding("OWN", "own finding", 0.1),
    Finding("SR", "learnt", 0.1, examples=3),
]


def said(language="en", **changed):
    fields = {
        "record": 1234, "similarity": 0.8349, "statements": ("NORM", "OWN", "SR"), "report": "sinusrhythmus.",
        "age": 65, "sex": "female",
    }  # fmt: skip
    (words,) = in_words([Case(**{**fields, **changed})], FINDINGS, language)
    return words


def test_codes_that_the_model_names_are_words_and_others_stay_codes():
    assert said().statements == "Normal ECG · own finding · SR"
    assert said("de").statements == "Normales EKG · own finding · SR"
    assert said(statements=()).statements == "No statement"


def test_a_case_stands_with_its_similarity_report_patient_and_licence():
    words = said()
    assert (words.similarity, words.patient) == ("Similarity 0.83", "female, 65 years")
    assert (words.report, words.source) == ("Report: sinusrhythmus.", f"Record 1234, {SOURCE}")
    words = said("de", sex="male")
    assert (words.patient, words.report) == ("männlich, 65 Jahre", "Befundtext: sinusrhythmus.")
    assert words.source == f"Aufzeichnung 1234, {SOURCE}"


def test_what_is_not_known_of_a_case_is_said_and_no_report_is_none():
    assert said(age=90).patient == "female, 90 years or older"
    assert said(age=None).patient == "female"
    assert said(age=None, sex=None).patient == "age and sex not known"
    assert said(report=" ").report == ""
