"""Asks a bundle about many pictures in several processes: what every accuracy task has in common."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.subjects import open_subject
from edge_runtime.errors import DoesNotFit, UserError
from edge_runtime.inference import FindingSpec
from edge_runtime.session import Observation, Session
from pulse.ecg.paper.render import render
from pulse.ecg.photo.photograph import photograph
from pulse.ecg.ptbxl import PtbXl
from pulse.instruct.questions import Turn, finding_spec


@dataclass(frozen=True)
class Drawn:
    """A record of the PTB-XL folder `data`, to be drawn as a page; photo: the seed of its effects, None for none."""

    data: Path
    ecg_id: int
    layout: str = "3x4+rhythm"
    photo: int | None = None

    def page(self) -> np.ndarray:
        """uint8 RGB [H, W, 3]."""
        page = render(_database(self.data)[self.ecg_id], self.layout).image
        return page if self.photo is None else photograph(page, np.random.default_rng([self.photo, self.ecg_id]))


@dataclass(frozen=True)
class Asked:
    """A picture (a path, a file's bytes, or one to be drawn) and the turns of a conversation about it: questions, with
    the answers wanted. findings: class -> label of the finding whose probability stands for it (a superclass or SCP
    statement); None: the bundle's own findings by their labels."""

    id: str
    picture: str | bytes | Drawn
    turns: tuple[Turn, ...]
    findings: tuple[tuple[str, str], ...] | None = ()


@dataclass(frozen=True)
class Answered:
    """answers: one a turn, "" from the first one on whose question does not fit the model's context (fits False).
    likelihood: of the first answer among the options listed, None where there were none. is_ecg: probability, or None.
    left_out: what the guard kept back."""

    id: str
    turns: tuple[Turn, ...]
    answers: tuple[str, ...]
    likelihood: float | None
    is_ecg: float | None
    probabilities: dict[str, float]
    left_out: tuple[str, ...]
    fits: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "questions": [turn.question for turn in self.turns],
            "gold": [turn.answer for turn in self.turns],
            "answers": list(self.answers),
            "likelihood": self.likelihood,
            "is_ecg": self.is_ecg,
            "probabilities": self.probabilities,
            "left_out": list(self.left_out),
        }


def answers(bundle: Path, asked: Iterable[Asked], unconstrained: bool, workers: int) -> Iterator[Answered]:
    """In the order asked; greedy. Raises UserError when the bundle cannot be run, or, naming the id, when a picture
    cannot be read."""
    if workers == 1:
        with threadpool_limits(1):
            _open(bundle, unconstrained)
            yield from map(_answer, asked)
        return
    # Spawned: a fork of a process whose ONNX Runtime or torch threads hold a lock never gets that lock back.
    spawn = multiprocessing.get_context("spawn")
    waiting: deque[Future[Answered]] = deque()
    with ProcessPoolExecutor(workers, spawn, initializer=_open_worker, initargs=(bundle, unconstrained)) as pool:
        try:
            for one in asked:
                waiting.append(pool.submit(_answer, one))
                if len(waiting) > 8 * workers:  # no more: a data set's pictures do not fit into memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            open_subject(bundle, threads=1)  # the same refusal here, in one line, if that was why
            raise


_session: Session
_unconstrained: bool
_database = lru_cache(1)(PtbXl)


def _open_worker(bundle: Path, unconstrained: bool) -> None:
    threadpool_limits(1)  # NumPy's, where the interpreter of Core ML packages computes, and torch's
    _open(bundle, unconstrained)


def _open(bundle: Path, unconstrained: bool) -> None:
    global _session, _unconstrained
    cv2.setNumThreads(0)  # the workers are the parallelism
    _session, _unconstrained = open_subject(bundle, threads=1), unconstrained


def _answer(asked: Asked) -> Answered:
    try:
        seen = _session.look(asked.picture.page() if isinstance(asked.picture, Drawn) else asked.picture)
    except UserError as error:
        raise UserError(f"{asked.id}: {error}") from None
    said: list[str] = []
    likelihoods: list[float | None] = []
    left_out: list[str] = []
    fits = True
    for turn in asked.turns:
        try:
            # Scored on its answer even where the model doubts that this is an ECG: the doubt is counted on its own.
            answer = seen.ask(
                turn.question, temperature=0, findings=False, allow_non_ecg=True, unconstrained=_unconstrained
            ).finish()
        except DoesNotFit:
            fits = False
            break
        said.append(answer.text)
        likelihoods.append(answer.likelihood)
        left_out += answer.left_out
    said += [""] * (len(asked.turns) - len(said))
    return Answered(
        asked.id,
        asked.turns,
        tuple(said),
        likelihoods[0] if likelihoods else None,
        seen.is_ecg,
        _probabilities(seen, asked.findings),
        tuple(left_out),
        fits,
    )


def _probabilities(seen: Observation, findings: tuple[tuple[str, str], ...] | None) -> dict[str, float]:
    own = {spec.label: spec for spec in _session.inference.findings}
    if findings is None:
        findings = tuple((label, label) for label in own)
    return {name: round(seen.probability(own.get(label) or _spec(label)), 5) for name, label in findings}


def _spec(label: str) -> FindingSpec:
    spec = finding_spec(label)
    return FindingSpec(**{**spec, "words": tuple(spec["words"])})
