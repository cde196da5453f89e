"""Further questions: rare statements are drawn more often, weighted back, and kept where asking is worth it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from distill.further import calibrated, fit, sample, specs, write
from pulse.ecg.ptbxl import SUPERCLASSES
from pulse.instruct.questions import STATEMENTS


def scores(positives, negatives, apart, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(positives + negatives) < positives
    return truth, rng.standard_normal(len(truth)) + apart * truth


def test_no_finding_of_the_students_is_asked_again():
    labels = [spec.label for spec in specs()]
    assert not set(labels) & {*SUPERCLASSES, *STATEMENTS}
    rhythm = {spec.label: spec for spec in specs()}["STACH"]
    assert (rhythm.question, rhythm.yes, rhythm.no) == ("What is the rhythm?", "Sinus tachycardia", "Sinus rhythm")


def test_probabilities_are_those_of_all_records():
    truth, odds = scores(300, 300, 3.0)
    found = fit(truth, odds, share=0.1)
    true = 1 / (1 + np.exp(-(found.slope * odds + found.offset)))
    weight = np.where(truth, 0.1 / 300, 0.9 / 300)
    assert float((weight * true).sum()) == pytest.approx(0.1, abs=0.01)
    assert found.sensitivity > 0.5
    assert found.precision > 0.5


@pytest.mark.parametrize(
    ("positives", "apart", "share"),
    [(9, 5.0, 0.1), (100, 0.1, 0.1)],
    ids=["too few", "not told apart"],
)
def test_what_is_not_worth_asking_is_left_out(positives, apart, share):
    assert fit(*scores(positives, 300, apart), share) is None


def test_a_statement_that_is_mostly_named_wrongly_is_left_out():
    truth, odds = scores(100, 300, 1.5)
    named = (odds > 1).astype(float)  # no point names few enough
    assert fit(truth, named, share=0.3) is not None
    assert fit(truth, named, share=0.01) is None


def test_rare_statements_are_drawn_until_there_are_enough():
    codes = {i: {"SR"} | ({"WPW"} if i % 50 == 0 else set()) for i in range(2000)}
    drawn = sample(codes, 100, seed=1)
    assert len(drawn) == len(set(drawn)) < 150
    assert sum("WPW" in codes[i] for i in drawn) == 30
    assert drawn == sample(codes, 100, seed=1)


def test_config_holds_what_a_manifest_reads(tmp_path):
    rng = np.random.default_rng(0)
    codes = {i: {"IMI"} if i < 200 else {"SR"} for i in range(1000)}
    odds = {i: {spec.label: rng.standard_normal() + 4 * (spec.label in codes[i]) for spec in specs()} for i in codes}
    found = calibrated(odds, codes)
    assert {spec.label for spec in found} == {"IMI", "SR"}
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"inference": {"default_question": "?"}}))
    write(config, found)
    assert json.loads(config.read_text())["inference"]["further"][0]["label"] == found[0].label
