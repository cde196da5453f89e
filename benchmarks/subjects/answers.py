"""Asks a model about many pictures in several processes: what all tasks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.subjects.subject import Subject
from benchmarks.task import Answered, Asked, Drawn
from edge_runtime import image
from edge_runtime.answer import Answer
from edge_runtime.errors import DoesNotFit, UserError
from edge_runtime.findings import Finding
from edge_runtime.inference import FindingSpec
from edge_runtime.observation import Observation
from edge_runtime.questions import needs_measuring
from edge_runtime.session import Session
from pulse.instruct.questions import finding_spec
from pulse.runner import run


def answers(subject: Subject, asked: Iterable[Asked], unconstrained: bool, workers: int) -> Iterator[Answered]:
    """In the order asked; greedy. unconstrained: any words, not only the options that a question lists.

    Raises UserError when the subject cannot be run, or, naming the id, when a picture cannot be read.
    """
    with threadpool_limits(1):  # for the one process that there may be
        yield from _in_order(run(enumerate(asked), partial(_begin, subject, unconstrained), workers))


def _in_order(numbered: Iterable[tuple[int, Answered]]) -> Iterator[Answered]:
    waiting: dict[int, Answered] = {}
    following = 0
    for number, answered in numbered:
        waiting[number] = answered
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _begin(subject: Subject, unconstrained: bool) -> Callable[[tuple[int, Asked]], tuple[int, Answered]]:
    threadpool_limits(1)  # NumPy's, where the interpreter of Core ML packages computes, and torch's
    cv2.setNumThreads(0)  # the workers are the parallelism
    session = subject.session(threads=1)
    return lambda numbered: (numbered[0], _answer(session, unconstrained, numbered[1]))


def _answer(session: Session, unconstrained: bool, asked: Asked) -> Answered:
    try:
        picture = asked.picture.given() if isinstance(asked.picture, Drawn) else asked.picture
        seen = session.look(picture, measure=any(needs_measuring(turn.question) for turn in asked.turns))
    except UserError as error:
        raise UserError(f"{asked.id}: {error}") from None
    said: list[str] = []
    likelihoods: list[float | None] = []
    left_out: list[str] = []
    sources: list[str] = []
    begin = seen.conversation
    fits, reading_ms = True, None
    for turn in asked.turns:
        if asked.apart:
            seen.conversation = begin
        try:
            # Scored on its answer even where the model doubts that this is an ECG: the doubt is counted on its own.
            answer = seen.ask(
                turn.question, temperature=0, findings=False, allow_non_ecg=True, unconstrained=unconstrained
            ).finish()
        except DoesNotFit:
            fits = False
            break
        reading_ms = reading_ms or round(answer.timing.preprocess_ms, 1)
        said.append(answer.text)
        likelihoods.append(answer.likelihood)
        left_out += answer.left_out
        sources.append(_source(answer))
    lacking = [""] * (len(asked.turns) - len(said))
    said, sources = said + lacking, sources + lacking
    found = _found(session, seen, asked.findings)
    return Answered(
        asked.id,
        asked.group,
        asked.turns,
        tuple(said),
        likelihoods[0] if likelihoods else None,
        seen.is_ecg,
        {name: round(finding.probability, 5) for name, finding in found.items()},
        tuple(name for name, finding in found.items() if finding.likely),
        tuple(left_out),
        fits,
        reading_ms,
        tuple(sources),
    )


def _source(answer: Answer) -> str:
    """What decided an answer: of several sources the one of what was answered, or else the first."""
    known = [each for each in answer.because if each.holds is not None]
    chosen = [each for each in known if each.holds] or known
    return chosen[0].source if chosen else ""


def _found(session: Session, seen: Observation, findings: tuple[tuple[str, str], ...] | None) -> dict[str, Finding]:
    own = {spec.label: spec for spec in session.inference.findings}
    if findings is None:
        findings = tuple((label, label) for label in own)
    return {name: seen.finding(own.get(label) or _spec(label)) for name, label in findings}


def _spec(label: str) -> FindingSpec:
    spec = finding_spec(label)
    return FindingSpec(**{**spec, "words": tuple(spec["words"]), "against": tuple(spec.get("against", ()))})


def page_of(asked: Asked) -> np.ndarray:
    """The picture that is asked about, uint8 RGB [H, W, 3]."""
    picture = asked.picture
    if isinstance(picture, Drawn):
        return picture.page()
    return np.asarray(image.load(picture))
