"""Probabilities against the twin, words of one and of several tokens, all branching off one image."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.findings import FindingScorer
from edge_runtime.inference import FindingSpec
from edge_runtime.session import Session


def expected(tiny, page, question, yes, no):
    prompt = tiny.prompt(page, question)
    log_yes, log_no = (tiny.twin.log_probability(prompt, tiny.ids(words)) for words in (yes, no))
    return np.exp(log_yes) / (np.exp(log_yes) + np.exp(log_no))


def test_findings_equal_the_twin(tiny, session, page):
    found = session.look(page).ask("a", max_new_tokens=1).finish().findings
    assert [(f.label, f.name) for f in found] == [("NORM", "normal ECG"), ("MI", "myocardial infarction")]
    assert found[0].probability == pytest.approx(expected(tiny, page, "normal?", "Yes", "No"), abs=1e-5)
    assert found[1].probability == pytest.approx(expected(tiny, page, "MI?", " it is", " is it"), abs=1e-5)
    assert len(tiny.ids("Yes")) == 1, "one of the two is to be a single token"
    assert len(tiny.ids(" it is")) > 2
    assert all(0.01 < f.probability < 0.99 for f in found), "a saturated probability would prove little"


def test_is_ecg_equals_the_twin(tiny, session, page):
    assert session.look(page).is_ecg == pytest.approx(expected(tiny, page, "ECG?", " Yes", " No"), abs=1e-5)


def test_yes_and_no_are_opposite(session, page):
    prefix = session.look(page)._prefix
    yes = session.scorer.score(prefix, FindingSpec("A", "a", "normal?", " Yes", " No")).probability
    no = session.scorer.score(prefix, FindingSpec("A", "a", "normal?", " No", " Yes")).probability
    assert yes + no == pytest.approx(1)
    assert yes != pytest.approx(no)


def test_question_that_does_not_fit_is_refused(session, page):
    prefix = session.look(page)._prefix
    with pytest.raises(UserError, match="the model has 96"):
        session.scorer.score(prefix, FindingSpec("A", "a", "x?" * 96, " Yes", " No"))


def test_words_without_tokens_are_refused(variant, page):
    # White space is text to the manifest; only this bundle's tokenizer can say that nothing is left of it.
    folder = variant(findings=[{"label": "MI", "name": "m", "question": "MI?", "yes": " Yes", "no": "no"}])
    session = Session.open(folder, threads=1)

    class Deaf:
        def encode(self, text):
            return []

    scorer = FindingScorer(session.engine, session.prompt, Deaf(), 96)
    with pytest.raises(UserError, match="MI: ' Yes' has no tokens"):
        scorer.score(session.engine.empty_cache(), session.inference.findings[0])


def test_logits_that_are_not_numbers_are_refused(session):
    class Broken:
        def embed(self, ids):
            return np.zeros((len(ids), 16), np.float32)

        def decode(self, embeds, cache):
            return np.full(290, np.nan, np.float32), cache

    scorer = FindingScorer(Broken(), session.prompt, session.tokenizer, 96)
    with pytest.raises(UserError, match="not numbers"):
        scorer.score(session.engine.empty_cache(), session.inference.findings[0])
