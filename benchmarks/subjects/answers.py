"""Asks a model about many pictures in several processes: what all tasks have in common."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.subjects.subject import Subject
from benchmarks.task import Answered, Asked, Drawn
from edge_runtime import image
from edge_runtime.errors import DoesNotFit, UserError
from edge_runtime.findings import Finding
from edge_runtime.inference import FindingSpec
from edge_runtime.session import Observation, Session
from pulse.instruct.questions import finding_spec


def answers(subject: Subject, asked: Iterable[Asked], unconstrained: bool, workers: int) -> Iterator[Answered]:
    """In the order asked; greedy. unconstrained: any words, not only the options that a question lists.

    Raises UserError when the subject cannot be run, or, naming the id, when a picture cannot be read.
    """
    if workers == 1:
        with threadpool_limits(1):
            _open(subject, unconstrained)
            yield from map(_answer, asked)
        return
    subject.session(threads=1)  # refused here in one line, not once a worker
    # Spawned: a fork of a process whose ONNX Runtime or torch threads hold a lock never gets that lock back.
    spawn = multiprocessing.get_context("spawn")
    waiting: deque[Future[Answered]] = deque()
    with ProcessPoolExecutor(workers, spawn, initializer=_open_worker, initargs=(subject, unconstrained)) as pool:
        for one in asked:
            waiting.append(pool.submit(_answer, one))
            if len(waiting) > 8 * workers:  # no more: a data set's pictures do not fit into memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_session: Session
_unconstrained: bool


def _open_worker(subject: Subject, unconstrained: bool) -> None:
    threadpool_limits(1)  # NumPy's, where the interpreter of Core ML packages computes, and torch's
    _open(subject, unconstrained)


def _open(subject: Subject, unconstrained: bool) -> None:
    global _session, _unconstrained
    cv2.setNumThreads(0)  # the workers are the parallelism
    _session, _unconstrained = subject.session(threads=1), unconstrained


def _answer(asked: Asked) -> Answered:
    try:
        seen = _session.look(asked.picture.page() if isinstance(asked.picture, Drawn) else asked.picture)
    except UserError as error:
        raise UserError(f"{asked.id}: {error}") from None
    said: list[str] = []
    likelihoods: list[float | None] = []
    left_out: list[str] = []
    fits, reading_ms = True, None
    for turn in asked.turns:
        try:
            # Scored on its answer even where the model doubts that this is an ECG: the doubt is counted on its own.
            answer = seen.ask(
                turn.question, temperature=0, findings=False, allow_non_ecg=True, unconstrained=_unconstrained
            ).finish()
        except DoesNotFit:
            fits = False
            break
        reading_ms = reading_ms or round(answer.timing.preprocess_ms, 1)
        said.append(answer.text)
        likelihoods.append(answer.likelihood)
        left_out += answer.left_out
    said += [""] * (len(asked.turns) - len(said))
    found = _found(seen, asked.findings)
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
    )


def _found(seen: Observation, findings: tuple[tuple[str, str], ...] | None) -> dict[str, Finding]:
    own = {spec.label: spec for spec in _session.inference.findings}
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
