"""What comes back from a question: text while it is written, then the whole answer with its figures."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_runtime.evidence import Evidence
from edge_runtime.findings import Finding
from edge_runtime.questions import Because
from edge_runtime.replaced import Replaced, Rewriting


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each part of an answer.

    preprocess_ms, vision_ms: reading the picture to pixels, and the vision tower. prefill_ms: all that the decoder
    reads before its first token: text before the image and image, the is_ecg question, the question. first_token_ms:
    from the start of look() to the first token, the caller's pause between look() and ask() left out; from the start
    of ask() in later turns, where the three before are 0 or the turn's own. decode_tokens_per_s: over the steps after
    the first token, 0 if there were none. tokens: length of the answer. findings_ms: spent on findings in this answer.
    measure_ms: on measuring the page; part of first_token_ms.
    """

    preprocess_ms: float
    vision_ms: float
    prefill_ms: float
    first_token_ms: float
    decode_tokens_per_s: float
    tokens: int
    findings_ms: float
    measure_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    text: without white space at its ends. token_ids: without the end token. finish_reason: "stop", "length" or
    "not_ecg" (nothing was generated; text says why). findings: in the manifest's order, empty if not asked for.
    is_ecg: probability that the picture is an ECG page, None if the model cannot tell.
    likelihood: of this answer among the options that the question lists, 0 to 1; None for a free answer, and for one
    that operating points decided.
    left_out: clauses that were written but not passed on (guard.Guard); text and token_ids are without them.
    evidence: what was measured on the page, where that was asked for. text then has the measured numbers, and replaced
    tells each place; token_ids are the model's own words.
    because: from where each part of an answer comes, of a question about attributes (edge_runtime.questions).
    """

    text: str
    token_ids: list[int]
    finish_reason: str
    findings: list[Finding]
    is_ecg: float | None
    timing: Timing
    likelihood: float | None = None
    left_out: tuple[str, ...] = ()
    evidence: Evidence | None = None
    replaced: tuple[Replaced, ...] = ()
    because: tuple[Because, ...] = ()


class Reply:
    """An answer being written: iterate for its text, piece by piece, or call finish() to wait for all of it."""

    def __init__(self, steps: Generator[str, None, Answer]) -> None:
        self._steps = steps
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[str]:
        # Once only: a second loop finds the steps used up and must not forget the answer.
        answer = yield from self._steps
        self._answer = self._answer or answer

    def finish(self) -> Answer:
        """The whole answer, once all its text has been read. Raises RuntimeError if a reader cut it off."""
        for _ in self:
            pass
        if self._answer is None:
            raise RuntimeError("this answer was cut off before its end; ask again")
        return self._answer


def with_evidence(
    steps: Generator[str, None, Answer], evidence: Evidence, in_words: bool, report: bool
) -> Generator[str, None, Answer]:
    """The steps of an answer with the measured numbers in the place of the model's, as replaced.Rewriting puts them.

    in_words: false for an answer among listed options, which stays as it is. report: whether it is the report.
    """
    if not in_words:
        return replace((yield from steps), evidence=evidence)
    numbers, text = Rewriting(evidence, report), ""
    while True:
        try:
            piece = numbers.push(next(steps))
        except StopIteration as stop:
            answer: Answer = stop.value
            break
        if piece:
            text += piece
            yield piece
    if piece := numbers.close():
        text += piece
        yield piece
    return replace(answer, text=text, evidence=evidence, replaced=tuple(numbers.replaced))


def evidence_json(answer: Answer, samples: bool = False) -> dict[str, Any]:
    """What was measured and what of the answer's words it replaced, for JSON; empty where that was not asked for."""
    if answer.evidence is None:
        return {}
    return {**answer.evidence.as_json(samples), "replaced": [asdict(one) for one in answer.replaced]}
