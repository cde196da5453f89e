"""What comes back from a question: text while it is written, then the whole answer with its figures."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from edge_runtime.findings import Finding


@dataclass(frozen=True)
class Timing:
    """Milliseconds of each part of an answer.

    preprocess_ms, vision_ms: reading the picture to pixels, and the vision tower. prefill_ms: all that the decoder
    reads before its first token: text before the image and image, the is_ecg question, the question. first_token_ms:
    from the start of look() to the first token, the caller's pause between look() and ask() left out; from the start
    of ask() in later turns, where the three before are 0 or the turn's own. decode_tokens_per_s: over the steps after
    the first token, 0 if there were none. tokens: length of the answer. findings_ms: spent on findings in this answer.
    """

    preprocess_ms: float
    vision_ms: float
    prefill_ms: float
    first_token_ms: float
    decode_tokens_per_s: float
    tokens: int
    findings_ms: float


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    text: without white space at its ends. token_ids: without the end token. finish_reason: "stop", "length" or
    "not_ecg" (nothing was generated; text says why). findings: in the manifest's order, empty if not asked for.
    is_ecg: probability that the picture is an ECG page, None if the model cannot tell.
    likelihood: of this answer among the options that the question lists, 0 to 1; None for a free answer, and for one
    that operating points decided.
    left_out: clauses that were written but not passed on (guard.Guard); text and token_ids are without them.
    """

    text: str
    token_ids: list[int]
    finish_reason: str
    findings: list[Finding]
    is_ecg: float | None
    timing: Timing
    likelihood: float | None = None
    left_out: tuple[str, ...] = ()


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
