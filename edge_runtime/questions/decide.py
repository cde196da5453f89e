"""Decides what a question asks from what is known of the page, and tells from where each part of the answer comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_runtime.constrain import Choices
from edge_runtime.evidence import Evidence
from edge_runtime.findings import Finding
from edge_runtime.inference import FindingSpec, Inference
from edge_runtime.questions.understand import Understood, lead_of, understand
from edge_runtime.questions.vocabulary import Attribute, Vocabulary
from edge_runtime.waves.noise import NOISE, noise_mv
from edge_runtime.waves.normal import NORMAL, axis_name

CANNOT_TELL = "decoder"


class Known(Protocol):
    """What is known of a page; session.Observation is one. evidence: None where it was not measured."""

    evidence: Evidence | None

    def finding(self, spec: FindingSpec) -> Finding:
        """The probability of a finding, the bundle's own or a further one."""
        ...


@dataclass(frozen=True)
class Because:
    """Why an attribute holds or does not. source: "finding" (one of the bundle's, with its calibrated probability),
    "question" (a further yes-or-no question of the model, calibrated as well), "measurement" (of the page), "decoder"
    (nothing is known: holds is None, and if anything the model's words decide). value and limit: the probability and
    its operating point, or what was measured, None where that is no one number."""

    what: str
    holds: bool | None
    source: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Decision:
    """choices: what may be answered still: one answer where the question is decided, the question's own options where
    it is not. because: of each attribute that was looked at. text: the whole answer to a question that lists no options
    and that a word does not answer; choices is None then."""

    choices: Choices | None
    because: tuple[Because, ...]
    text: str = ""


def decide(question: str, listed: Choices | None, known: Known, inference: Inference) -> Decision | None:
    """None for a question that is not understood, and a model without operating points.

    listed: the options that the question lists. An option that cannot be told is not chosen beside others that can.
    """
    specs = (*inference.findings, *inference.further)
    if not any(spec.calibration for spec in specs):
        return None
    vocabulary = Vocabulary(specs)
    asked = understand(question, listed, vocabulary)
    if asked is None:
        return None
    judge = _Judge(known, inference)
    if asked.verify:
        return _verify(asked, listed, judge)
    if listed is not None:
        return _choose(asked, listed, judge, vocabulary)
    return _either(asked, judge) if asked.options else None


def _verify(asked: Understood, listed: Choices | None, judge: _Judge) -> Decision | None:
    if asked.feature is not None:
        because = judge.lies(asked.feature, asked.level) if asked.level else None
    else:
        own = [a for a in asked.attributes if not a.level]
        because = judge.holds(own[0], asked.lead) if len(own) == 1 else None
    if because is None:
        return None
    if because.holds is None:
        # The decoder would say something, and nobody could tell that from an answer.
        text = f"Cannot be told of this page: {because.what}." if listed is None else ""
        return Decision(listed, (because,), text)
    return Decision(Choices((asked.yes if because.holds else asked.no,)), (because,))


def _either(asked: Understood, judge: _Judge) -> Decision:
    """Of "A or B?" without listed options: those that hold, and those that cannot be told."""
    because = tuple(judge.holds(attribute, asked.lead) for attribute in asked.attributes)
    there, unknown = ([b.what for b in because if b.holds is holds] for holds in (True, None))
    known = [b for b in because if b.holds is not None]
    parts = [", ".join(there) if there else "None of these"] if known else []
    parts += [f"cannot be told of this page: {', '.join(unknown)}"] if unknown else []
    text = "; ".join(parts)
    return Decision(None, because, f"{text[:1].upper()}{text[1:]}.")


def _choose(asked: Understood, listed: Choices, judge: _Judge, vocabulary: Vocabulary) -> Decision | None:
    none = [option for option in listed.options if option.lower().startswith("none")]
    options = [option for option in listed.options if option not in none and option.lower() != "not sure"]
    because = [_of_option(option, asked, judge, vocabulary) for option in options]
    found = tuple(each for each in because if each is not None)
    if len(found) < len(options):  # an option that nobody knows: these are no attributes
        return None
    if all(each.holds is None for each in found):
        return Decision(listed, found)
    chosen = [option for option, each in zip(options, found, strict=True) if each.holds]
    if not chosen:
        chosen = none[:1] or [options[max(range(len(found)), key=lambda k: _nearness(found[k]))]]
    return Decision(Choices((listed.separator.join(chosen if listed.separator else chosen[:1]),)), found)


def _of_option(option: str, asked: Understood, judge: _Judge, vocabulary: Vocabulary) -> Because | None:
    """What is known of an option: a lead that shows what the question names, where a quantity lies, a quantity that
    lies where the question says, or an attribute."""
    own = [a for a in asked.attributes if not a.level and a.feature is None]
    if lead := lead_of(option):
        return judge.holds(own[0], lead) if len(own) == 1 else None
    attribute = vocabulary.exact(option)
    if attribute is None:
        return None
    if attribute.level:
        return None if asked.feature is None else judge.lies(asked.feature, attribute.level)
    if attribute.feature is not None:
        return judge.lies(attribute, asked.level) if asked.level else None
    return judge.holds(attribute, asked.lead)


def _nearness(because: Because) -> float:
    return -1.0 if because.value is None else because.value / (because.limit or 1.0)


class _Judge:
    """Whether attributes hold on one page."""

    def __init__(self, known: Known, inference: Inference) -> None:
        self._known = known
        self._listed = {spec.label: spec for spec in inference.findings if spec.calibration is not None}
        self._further = {spec.label: spec for spec in inference.further if spec.calibration is not None}

    def holds(self, attribute: Attribute, lead: str = "") -> Because:
        """lead: in this one; "" anywhere."""
        if attribute.noise:
            return self._noise(attribute, lead)
        if attribute.axis:
            return self._axis(attribute)
        if attribute.absent:
            of = self._finding(attribute, (attribute.absent,))
            return of if of.holds is None else Because(attribute.name, not of.holds, of.source, of.value, of.limit)
        if attribute.stage:
            of = self._finding(attribute, ("MI",))
            return of if of.holds is False else _unknown(attribute)
        of = self._finding(attribute, attribute.labels)
        # Where on the page a finding shows is not known, only that it does not show anywhere.
        return _unknown(attribute) if lead and of.holds else of

    def lies(self, feature: Attribute, level: str) -> Because:
        """Whether a quantity lies below, within or above its normal range."""
        value = self._measured(feature.feature or "")
        if value is None:
            return _unknown(feature)
        low, high, where = _judged(feature.feature or "", value)
        return Because(feature.name, where == level, "measurement", round(value, 1), low if where == "low" else high)

    def _finding(self, attribute: Attribute, labels: Sequence[str]) -> Because:
        """Any of the labels; the one that is nearest to its operating point, or farthest above it, tells."""
        found = [
            (self._known.finding(spec), source)
            for label in labels
            for source, specs in (("finding", self._listed), ("question", self._further))
            if (spec := specs.get(label)) is not None
        ]
        if not found:
            return _unknown(attribute)
        best, source = max(found, key=lambda each: each[0].probability / (each[0].point or 1.0))
        return Because(attribute.name, best.likely, source, round(best.probability, 4), best.point)

    def _noise(self, attribute: Attribute, lead: str) -> Because:
        evidence = self._known.evidence
        if evidence is None or evidence.signals is None:
            return _unknown(attribute)
        kinds = [kind for kind in attribute.noise if kind in NOISE]
        told = [(noise_mv(kind, evidence.signals.mv, lead), NOISE[kind][0 if lead else 1]) for kind in kinds]
        over = [(value, limit) for value, limit in told if value is not None]
        if not over:
            return _unknown(attribute)
        value, limit = max(over, key=lambda each: each[0] / each[1])
        return Because(attribute.name, value >= limit, "measurement", round(value, 4), limit)

    def _axis(self, attribute: Attribute) -> Because:
        value = self._measured("qrs_axis_deg")
        if value is None:
            return _unknown(attribute)
        return Because(attribute.name, attribute.axis in axis_name(value).split(), "measurement", round(value, 1))

    def _measured(self, key: str) -> float | None:
        evidence = self._known.evidence
        if evidence is None:
            return None
        rate = evidence.measurements.rate_bpm
        if key == "rr_ms":
            return None if not rate else 60_000 / rate
        return getattr(evidence.measurements, key, None) if key else None


def _judged(key: str, value: float) -> tuple[float | None, float | None, str]:
    """The limits of a quantity's normal range, and where the value lies: "low", "normal" or "high"."""
    if key == "rr_ms":  # the rate's limits, as milliseconds from beat to beat
        low, high, where = _judged("rate_bpm", 60_000 / value)
        turned = {"low": "high", "high": "low"}.get(where, where)
        return 60_000 / high if high else None, 60_000 / low if low else None, turned
    normal = NORMAL[key]
    where = normal.judge(value)
    return normal.low, normal.high, "high" if where == "high_in_men" else where


def _unknown(attribute: Attribute) -> Because:
    return Because(attribute.name, None, CANNOT_TELL)
