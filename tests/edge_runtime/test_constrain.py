"""Constrained answers: always one of the listed options, whatever the model would rather say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from edge_runtime.ask import main
from edge_runtime.constrain import Choices, Constraint, choices
from edge_runtime.sampling import Sampler
from edge_runtime.session import Session

MCQ = "Determine the class.\nA. SVT(x)\nB. IAVB(y), SB(z)\nC. AF(w)"
CLASSES = "Classify into the following classes:\nNORM(Normal), I-AVB(First), MI(Infarct)\nSeparate"
SHORT = "Options: ab, cd, none"
LIST = "Question: which?\nOptions: ab, cd, none\n\nOnly answer based on the given Options."


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (MCQ, Choices(("A", "B", "C"))),
        (CLASSES, Choices(("NORM", "I-AVB", "MI"))),
        (f"{CLASSES} and separate with a semicolon.", Choices(("NORM", "I-AVB", "MI"), "; ")),
        (LIST, Choices(("ab", "cd", "none"))),
        (f"select all that apply. {LIST}", Choices(("ab", "cd", "none"), ", ")),
        ("What does this ECG show?", None),
        ("Options: only", None),
    ],
)
def test_a_question_s_choices(question, expected):
    assert choices(question) == expected


def every_answer(constraint_of, vocab):
    """All answers that the masks allow, by walking them with uniform logits; with their likelihoods."""
    found, open_paths = {}, [[]]
    while open_paths:
        path = open_paths.pop()
        constraint, logits = constraint_of(), np.zeros(vocab, np.float32)
        for token in path:
            constraint.push(token, constraint.mask(logits))
        for token in np.flatnonzero(np.isfinite(constraint.mask(logits))):
            if token == 1:
                ending = constraint_of()
                for step in [*path, 1]:
                    ending.push(step, ending.mask(logits))
                found[tuple(path)] = math.exp(ending.log_likelihood)
            else:
                open_paths.append([*path, int(token)])
    return found


@pytest.mark.parametrize("separator", ["", ", "])
def test_exactly_the_listed_answers_can_be_said(tiny, session, separator):
    # "a" is a prefix of "ab": both must remain possible
    options = ("a", "ab", "cd")
    listed = Choices(options, separator)
    found = every_answer(lambda: Constraint(listed, session.tokenizer, [1]), session.inference.model.vocab_size)
    sets = [s for n in (1, 2, 3) for s in itertools.combinations(options, n)] if separator else [(o,) for o in options]
    assert sorted(session.tokenizer.decode(ids).strip() for ids in found) == sorted(separator.join(s) for s in sets)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("temperature", [0, 2])
def test_a_real_bundle_answers_with_an_option(session, page, temperature):
    seen = session.look(page)
    answer = seen.ask(SHORT, temperature=temperature, seed=3).finish()
    assert answer.text in ("ab", "cd", "none")
    assert answer.finish_reason == "stop"
    assert 0 < answer.likelihood <= 1
    free = session.look(page).ask(SHORT, temperature=0, unconstrained=True).finish()
    assert free.likelihood is None
    assert free.text not in ("ab", "cd", "none"), "the twin would not have said so by itself"


def test_operating_points_decide_where_they_can(variant, page):
    """Two findings whose questions are alike reach a point of 0 and miss one of 1."""
    asked = {"name": "x", "question": "x?", "yes": "a", "no": "b"}
    worth = {"slope": 1.0, "offset": 0.0, "sensitivity": None, "precision": None, "positives": 5}
    found = [{**asked, "label": label, "calibration": {**worth, "point": at}} for label, at in (("ab", 0), ("cd", 1))]
    several = "Options: ab, cd\nselect all that apply"
    answer = Session.open(variant(findings=found), threads=1).look(page).ask(several, temperature=0).finish()
    assert (answer.text, answer.likelihood) == ("ab", None)


def test_mask_lets_the_sampler_draw_options_only(session):
    logits = np.zeros(session.inference.model.vocab_size, np.float32)
    first = {session.tokenizer.encode(text)[0] for text in ("ab", "cd")}
    constraint = Constraint(Choices(("ab", "cd")), session.tokenizer, [1])
    sampler = Sampler(temperature=1, seed=0)
    assert {sampler(constraint.mask(logits)) for _ in range(40)} == first


def test_the_command_is_free_on_request(tiny, page_file, capsys):
    texts = []
    for extra in ([], ["--unconstrained"]):
        assert main([str(tiny.folder), str(page_file), SHORT, "--no-findings", "--json", *extra]) == 0
        texts.append(capsys.readouterr().out)
    assert '"likelihood": null' not in texts[0]
    assert '"likelihood": null' in texts[1]
