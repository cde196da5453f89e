"""One page that a session has read: its findings, and the conversation about it."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from edge_runtime.answer import Answer, Reply, Timing, with_evidence
from edge_runtime.constrain import Choices, Constraint, choices
from edge_runtime.engines import Cache
from edge_runtime.errors import UserError
from edge_runtime.evidence import Evidence
from edge_runtime.findings import Finding, by_head
from edge_runtime.generate import Ending, check_fits, stream
from edge_runtime.guard import Guard, decided
from edge_runtime.inference import FindingSpec
from edge_runtime.page.quality import hint
from edge_runtime.questions import Because, as_taught, decide, not_taught
from edge_runtime.sampling import Sampler
from edge_runtime.similar import Case
from edge_runtime.tokenizer import StreamDecoder

if TYPE_CHECKING:
    from edge_runtime.session import Session


class Cost(NamedTuple):
    """Milliseconds that look() spent on each of its parts."""

    preprocess: float
    vision: float
    prefill: float
    measure: float


class Observation:
    """One page, already read, and the conversation about it.

    is_ecg: probability that it is an ECG page, None if the model cannot tell. seen: the page as the model looked at it,
    RGB, flat and upright. turns: quarter turns to the right that the picture was given to lie upright. redrawn: whether
    it was drawn anew from the signals that were read of the picture. problem: what may be wrong with a picture that
    does not look like one, a key of page.quality.HINTS, None where that is unknown. evidence: what was measured on the
    page, None where that was not asked for. by_signals: log odds by label that the recording gives which the page
    shows, none where there is no recording. features, pooled: float32 [D] and [2 D] of the tower's tokens,
    learnt.page_features and similar.pooled.
    """

    def __init__(
        self,
        session: Session,
        prefix: Cache,
        seen: Image.Image,
        turns: int,
        is_ecg: float | None,
        cost: Cost,
        features: np.ndarray,
    ) -> None:
        self._session = session
        self.is_ecg = is_ecg
        self.seen = seen
        self.turns = turns
        self.redrawn = False
        self.features = features
        self.problem: str | None = None
        self.evidence: Evidence | None = None
        self.by_signals: Mapping[str, float] = {}
        self.pooled = np.zeros(0, np.float32)
        self._prefix = prefix
        self._cost = cost
        self._findings: dict[FindingSpec, Finding] = {}
        # Where the next turn starts: a cache, and the ids it lacks. None pending: no turn is finished yet.
        self._cache = prefix
        self._pending: list[int] | None = None

    def instead_of(self, before: Observation) -> Observation:
        """This second look at a picture, with what the first measured and took."""
        self._cost = Cost(*(a + b for a, b in zip(before._cost, self._cost, strict=True)))
        self.evidence = before.evidence
        return self

    @property
    def conversation(self) -> tuple[Cache, list[int] | None]:
        """Where the next question goes on; set it to what it was and the answers since then were never given."""
        return self._cache, self._pending

    @conversation.setter
    def conversation(self, value: tuple[Cache, list[int] | None]) -> None:
        self._cache, self._pending = value

    @property
    def positions(self) -> int:
        """Positions that the page and the words before it take."""
        return self._prefix.length

    @property
    def looks_like_ecg(self) -> bool:
        """Whether is_ecg reaches the bundle's threshold; true for a model that cannot tell."""
        return self.is_ecg is None or self.is_ecg >= self._session.inference.is_ecg_threshold

    @property
    def not_ecg_notice(self) -> str:
        """What stands for the answer when looks_like_ecg is false: that it is so, and what would help."""
        return (
            f"This picture does not look like an ECG page (is_ecg probability {self.is_ecg:.2f}). {hint(self.problem)}"
        )

    @property
    def whole(self) -> float | None:
        """Probability that all leads of the page are in the picture, None if the model cannot tell."""
        asked = self._session.inference.whole
        return None if asked is None else self.finding(asked).probability

    @property
    def is_part(self) -> bool:
        """Whether leads of the page are likely missing in the picture; false for a model that cannot tell."""
        return self.whole is not None and self.whole < 0.5

    def similar(self, k: int = 5) -> list[Case]:
        """The k cases of the bundle's index that are most like the page, the nearest first.

        Raises UserError for a bundle without cases, a k below 1, and a picture that does not look like an ECG page.
        """
        if not self.looks_like_ecg:
            raise UserError("nothing is similar to a picture that does not look like an ECG page; give one that does")
        return self._session.cases.nearest(self.pooled, k)

    def ask(
        self,
        question: str | None = None,
        *,
        max_new_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
        findings: bool = True,
        allow_non_ecg: bool = False,
        unconstrained: bool = False,
    ) -> Reply:
        """Ask about the page, or go on with the conversation after the last answer that was read to its end.

        None takes the bundle's own default; seed None draws a fresh one. findings: score them after the answer.
        A picture that does not look like an ECG page gets one sentence saying so instead, unless `allow_non_ecg`.
        A question that lists options or classes (constrain.choices) is answered with those alone, and where they are
        findings with operating points with those that reach theirs; a question about attributes is decided by what is
        known of the page, and the answer tells by what (questions.decide); any other answer names no finding that does
        not reach its own, the default report all that do, and nothing twice (guard.Guard). `unconstrained` switches all
        of it off. Where the page was measured, the numbers of any answer in words are the measured ones (replaced), and
        the default report has them all; later turns go on from the model's own words. A model that learnt few questions
        (`taught`) is asked those alone, each of the page alone, and says so of any other (questions.taught).
        Raises UserError at once, not while the answer is read, when something is out of range or does not fit.
        """
        session, defaults = self._session, self._session.inference.generation
        sampler = Sampler(
            defaults.temperature if temperature is None else temperature,
            defaults.top_p if top_p is None else top_p,
            defaults.top_k if top_k is None else top_k,
            seed,
        )
        limit = defaults.max_new_tokens if max_new_tokens is None else max_new_tokens
        if limit < 1:
            raise UserError(f"max-new-tokens must be 1 or more, not {limit}")
        question = session.inference.default_question if question is None else question
        alone = bool(session.inference.taught) and not unconstrained
        if alone:
            self._cache, self._pending = self._prefix, None
        ids = self._turn(question)
        if not self.looks_like_ecg and not allow_non_ecg:
            return Reply(self._refuse())
        check_fits(self._cache.length + len(ids), session.inference.model.context_length)
        if findings:
            for spec in session.inference.findings[len(self._findings) :]:
                if spec.learnt is None:
                    session.scorer.check(self._prefix, spec)
        if (learnt := self._learnt(question)) is not None and not unconstrained:
            return Reply(self._tell(ids, self._by_head(learnt), findings))
        listed = None if unconstrained else choices(question)
        eos = session.inference.model.eos_token_ids
        constraint = None
        decision = None if unconstrained else decide(question, listed, self, session.inference)
        if decision is not None and decision.text:
            return Reply(self._tell(ids, decision.text, findings, decision.because))
        if alone and decision is None and listed is None:
            taught = as_taught(question, session.inference)
            if taught is None:
                return Reply(self._tell(ids, not_taught(session.inference), findings))
            question, ids = taught, self._turn(taught)
        if decision is not None and decision.choices is not None:
            constraint = Constraint(decision.choices, session.tokenizer, eos)
        elif listed is not None:
            constraint = Constraint(decided(listed, self._options(listed)), session.tokenizer, eos)
        report = question == session.inference.default_question
        guard = None if unconstrained or constraint else Guard(session.inference.findings, self.finding, report)
        because = () if decision is None else decision.because
        steps = self._answer(ids, sampler, limit, findings, constraint, guard, because)
        return Reply(
            steps if self.evidence is None else with_evidence(steps, self.evidence, constraint is None, report)
        )

    def remember(self, question: str, answer: str) -> None:
        """Go on as if `question` had been asked and `answer` given, as in a conversation that was held elsewhere.

        Raises UserError for a question that is blank.
        """
        tokens, end = self._session.tokenizer.encode(answer), self._session.inference.model.eos_token_ids[0]
        self._pending = [*self._turn(question), *tokens, end]

    def _turn(self, question: str) -> list[int]:
        """Ids of a question, and of what the cache lacks before it."""
        prompt = self._session.prompt
        return prompt.after_image(question) if self._pending is None else [*self._pending, *prompt.next_turn(question)]

    def findings(self) -> list[Finding]:
        """Every finding's probability, in the manifest's order; computed once, asked of the page alone."""
        return list(self.each_finding())

    def each_finding(self) -> Iterator[Finding]:
        """The same one by one, as they are computed. Those computed before a reader stops are kept."""
        return (self.finding(spec) for spec in self._session.inference.findings)

    def finding(self, spec: FindingSpec) -> Finding:
        """One finding, the bundle's own or another, asked of the page alone; computed once."""
        if spec not in self._findings:
            head = spec.learnt
            self._findings[spec] = (
                self._session.scorer.score(self._prefix, spec, self.by_signals.get(spec.label))
                if head is None
                else by_head(spec, head, self.features)
            )
        return self._findings[spec]

    def _learnt(self, question: str) -> FindingSpec | None:
        """The learnt finding that a question asks for in its own words, if it does."""
        asked = question.strip().casefold()
        specs = (spec for spec in self._session.inference.findings if spec.learnt is not None)
        return next((spec for spec in specs if spec.question.strip().casefold() == asked), None)

    def _by_head(self, spec: FindingSpec) -> str:
        """Yes or no by a learnt finding's head."""
        found = self.finding(spec)
        point = 0.5 if found.point is None else found.point
        word = spec.yes if found.likely else spec.no
        return f"{word}: {found.told}, score {found.probability:.2f} (point {point:.2f})."

    def _tell(
        self, ids: list[int], text: str, findings: bool, because: tuple[Because, ...] = ()
    ) -> Generator[str, None, Answer]:
        """An answer that does not come from the decoder, in words that the next turn reads as any other."""
        session = self._session
        cost = self._spent()
        yield text
        token_ids = session.tokenizer.encode(text)
        self._pending = [*ids, *token_ids, session.inference.model.eos_token_ids[0]]
        listed = self.findings() if findings else []
        timing = Timing(cost.preprocess, cost.vision, cost.prefill, sum(cost), 0.0, len(token_ids), 0.0, cost.measure)
        return Answer(text, token_ids, "stop", listed, self.is_ecg, timing, because=because, evidence=self.evidence)

    def _options(self, listed: Choices) -> list[Finding]:
        """The findings among a question's options, if all of them are."""
        own = {spec.label: spec for spec in self._session.inference.findings}
        return [self.finding(own[label]) for label in listed.options] if set(listed.options) <= set(own) else []

    def _answer(
        self,
        ids: list[int],
        sampler: Sampler,
        limit: int,
        findings: bool,
        constraint: Constraint | None,
        guard: Guard | None,
        because: tuple[Because, ...],
    ) -> Generator[str, None, Answer]:
        session, model = self._session, self._session.inference.model
        cost = self._spent()
        started = time.perf_counter()
        logits, cache = session.engine.decode(session.engine.embed(ids), self._cache)
        prefilled = time.perf_counter()
        tokens = stream(
            session.engine, logits, cache, sampler, model.eos_token_ids, limit, model.context_length, constraint
        )
        decoder = StreamDecoder(session.tokenizer)
        text, first = "", 0.0
        while True:
            try:
                token = next(tokens)
            except StopIteration as stop:
                ending: Ending = stop.value
                break
            finally:
                first = first or time.perf_counter()
            piece = decoder.push(token)
            if guard:
                piece = guard.push(piece)
            if piece:
                text += piece
                yield piece
        if guard and (piece := guard.close(ending.finish_reason == "stop")):
            text += piece
            yield piece
        token_ids = ending.token_ids
        if guard and guard.changed:
            # The next turn reads the answer as it was passed on.
            token_ids = session.tokenizer.encode(text)
            self._pending = [*ids, *token_ids, model.eos_token_ids[0]]
        else:
            self._cache, self._pending = ending.cache, ending.pending
        scoring = time.perf_counter()
        found = self.findings() if findings else []
        timing = Timing(
            preprocess_ms=cost.preprocess,
            vision_ms=cost.vision,
            prefill_ms=cost.prefill + 1e3 * (prefilled - started),
            first_token_ms=sum(cost) + 1e3 * (first - started),
            decode_tokens_per_s=ending.steps / ending.seconds if ending.steps else 0.0,
            tokens=len(ending.token_ids),
            findings_ms=1e3 * (time.perf_counter() - scoring),
            measure_ms=cost.measure,
        )
        likelihood = math.exp(constraint.log_likelihood) if constraint and constraint.leaves_choice else None
        left_out = tuple(guard.left_out) if guard else ()
        return Answer(
            text,
            token_ids,
            ending.finish_reason,
            found,
            self.is_ecg,
            timing,
            likelihood,
            left_out,
            because=because,
        )

    def _spent(self) -> Cost:
        """What look() took; of the first answer alone."""
        cost, self._cost = self._cost, Cost(0.0, 0.0, 0.0, 0.0)
        return cost

    def _refuse(self) -> Generator[str, None, Answer]:
        text = self.not_ecg_notice
        yield text
        cost = self._cost
        timing = Timing(cost.preprocess, cost.vision, cost.prefill, sum(cost), 0.0, 0, 0.0, cost.measure)
        return Answer(text, [], "not_ecg", [], self.is_ecg, timing)
