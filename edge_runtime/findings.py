"""Probabilities out of a model that answers in words: how much more it wants to say yes than no."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.engines import Cache, Engine
from edge_runtime.errors import UserError, shorten
from edge_runtime.generate import check_fits
from edge_runtime.inference import FindingSpec
from edge_runtime.learnt import Learnt, told
from edge_runtime.prompt import Prompt
from edge_runtime.sampling import log_softmax
from edge_runtime.tokenizer import Tokenizer


@dataclass(frozen=True)
class Finding:
    """probability, 0 to 1: P(yes words) / (P(yes words) + P(no words)) after the finding's question, made true by its
    calibration where there is one. point: the probability from which on it is named, None where nothing was measured.
    sensitivity, precision: of naming it from there, on validation records; None where too few had it. examples:
    how many marked pages with it it was learnt from (learnt.Learnt), 0 for one that the decoder is asked about.
    """

    label: str
    name: str
    probability: float
    point: float | None = None
    sensitivity: float | None = None
    precision: float | None = None
    examples: int = 0

    @property
    def told(self) -> str:
        """The name, and that it was learnt from a few examples where it was."""
        return told(self.name, self.examples)

    @property
    def likely(self) -> bool:
        """Whether it reaches its operating point; one half where none was measured."""
        return self.probability >= (0.5 if self.point is None else self.point)


class FindingScorer:
    """Asks yes-or-no questions about one image, each from the same cached prefix (text before the image, image).

    Raises UserError when a question does not fit the model's context, or yes or no has no tokens.
    """

    def __init__(self, engine: Engine, prompt: Prompt, tokenizer: Tokenizer, context_length: int) -> None:
        self._engine, self._prompt, self._tokenizer = engine, prompt, tokenizer
        self._context_length = context_length

    def score(self, prefix: Cache, finding: FindingSpec, by_signals: float | None = None) -> Finding:
        """The finding's probability for the image in `prefix`; by_signals: log odds of the recording that the image
        shows, for a finding that has a calibration of both."""
        ids, yes, no = self.words(prefix.length, finding)
        logits, cache = self._engine.decode(self._engine.embed(ids), prefix)
        log_odds = self._log_probability(yes, logits, cache) - self._log_probability(no, logits, cache)
        if math.isnan(log_odds):
            raise UserError(f"{finding.label}: the decoder's logits are not numbers; export the bundle again")
        true = finding.calibration
        if by_signals is not None and finding.recorded is not None:
            true = finding.recorded
        if true is None:
            return Finding(finding.label, finding.name, sigmoid(log_odds))
        probability = sigmoid(true.slope * log_odds + true.signal_slope * (by_signals or 0.0) + true.offset)
        return Finding(finding.label, finding.name, probability, true.point, true.sensitivity, true.precision)

    def choose(self, prefix: Cache, question: str, answers: Sequence[str]) -> list[float]:
        """Probability of each answer among these, after the question. Raises UserError when they do not fit."""
        ids, listed = self._prompt.after_image(question), [self._tokenizer.encode(answer) for answer in answers]
        check_fits(prefix.length + len(ids) + max(map(len, listed)) - 1, self._context_length)
        logits, cache = self._engine.decode(self._engine.embed(ids), prefix)
        weights = [math.exp(self._log_probability(answer, logits, cache)) for answer in listed]
        total = sum(weights) or 1.0
        return [weight / total for weight in weights]

    def check(self, prefix: Cache, finding: FindingSpec) -> None:
        """Raises UserError, before anything is computed, when `score` would for want of room."""
        self.words(prefix.length, finding)

    def words(self, before: int, finding: FindingSpec) -> tuple[list[int], list[int], list[int]]:
        """Ids of the question, of yes and of no, behind `before` positions. Raises UserError when they do not fit."""
        yes, no = self._encode(finding, finding.yes), self._encode(finding, finding.no)
        ids = self._prompt.after_image(finding.question)
        check_fits(before + len(ids) + max(len(yes), len(no)) - 1, self._context_length)
        return ids, yes, no

    def _encode(self, finding: FindingSpec, text: str) -> list[int]:
        ids = self._tokenizer.encode(text)
        if not ids:
            raise UserError(f"{finding.label}: {shorten(text)} has no tokens; export the bundle again")
        return ids

    def _log_probability(self, ids: Sequence[int], logits: np.ndarray, cache: Cache) -> float:
        """Log of the probability that the model goes on with exactly `ids`."""
        total = float(log_softmax(logits)[ids[0]])
        for before, token in itertools.pairwise(ids):
            logits, cache = self._engine.decode(self._engine.embed([before]), cache)
            total += float(log_softmax(logits)[token])
        return total


def by_head(spec: FindingSpec, head: Learnt, features: np.ndarray) -> Finding:
    """A learnt finding on a page's features [D] (learnt.page_features)."""
    true = spec.calibration
    point, sensitivity = (None, None) if true is None else (true.point, true.sensitivity)
    return Finding(
        spec.label, spec.name, sigmoid(head.log_odds(features)), point, sensitivity, None, examples=head.positives
    )


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), for any x."""
    # Either branch keeps exp's argument at or below 0: no overflow.
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
