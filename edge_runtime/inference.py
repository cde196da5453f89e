"""How a model is used, typed: what a session needs to know besides the weights.

A checkpoint's config.json holds it in its section "inference", a bundle's manifest.json at its top.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.learnt import Learnt, told
from edge_runtime.preprocess import PreprocessSpec
from edge_runtime.sampling import Sampler

IMAGE = "<image>"
QUESTION = "{question}"


@dataclass(frozen=True)
class ModelSpec:
    """Sizes of the decoder and its special tokens. context_length counts every position: image, words and answer."""

    vocab_size: int
    hidden_size: int
    layers: int
    kv_heads: int
    head_dim: int
    context_length: int
    bos_token_id: int | None
    eos_token_ids: tuple[int, ...]

    @classmethod
    def from_fields(cls, fields: Fields) -> ModelSpec:
        """Read and check the manifest's `model`. Raises UserError naming the first wrong field."""
        vocab_size = fields.integer("vocab_size", 1)
        bos, ends = special_tokens(fields, vocab_size)
        return cls(
            vocab_size=vocab_size,
            hidden_size=fields.integer("hidden_size", 1),
            layers=fields.integer("layers", 1),
            kv_heads=fields.integer("kv_heads", 1),
            head_dim=fields.integer("head_dim", 1),
            context_length=fields.integer("context_length", 1),
            bos_token_id=bos,
            eos_token_ids=ends,
        )


@dataclass(frozen=True)
class PromptSpec:
    """The conversation's text. The prompt is `system + first_turn`, joined as they are, split at "<image>"."""

    system: str
    first_turn: str
    next_turn: str
    add_bos: bool


@dataclass(frozen=True)
class GenerationSpec:
    """What an answer uses unless the caller says otherwise; see sampling.Sampler."""

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int


@dataclass(frozen=True)
class Calibration:
    """What a finding's probability is worth, measured on validation records: `positives` of them have the finding.

    slope, offset: of the log odds (Platt 1999), which make probabilities true; signal_slope: of those that the network
    of signals gives beside them, 0 where none are read. point: the probability from which on the
    finding is named; sensitivity, precision: of naming it from there, None where too few had it to be measured.
    """

    slope: float = 1.0
    offset: float = 0.0
    point: float = 0.5
    sensitivity: float | None = None
    precision: float | None = None
    positives: int = 0
    signal_slope: float = 0.0

    def to_dict(self) -> dict[str, float | None]:
        data = asdict(self)
        if self.signal_slope == 0:
            del data["signal_slope"]
        return data


@dataclass(frozen=True)
class FindingSpec:
    """A yes-or-no question whose answer is read as a probability. yes and no are text, tokenized as they are.

    words: phrases by which a text names the finding; against: phrases that deny it. calibration: None where nothing was
    measured. recorded: the same of digital recordings, whose signals are read beside their page; None where they are
    not. learnt: the head that gives the probability in the decoder's place, None where the decoder is asked.
    """

    label: str
    name: str
    question: str
    yes: str
    no: str
    words: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    calibration: Calibration | None = None
    learnt: Learnt | None = None
    recorded: Calibration | None = None

    @property
    def told(self) -> str:
        """The name, and that it was learnt from a few examples where it was."""
        return told(self.name, self.learnt.positives if self.learnt else 0)


@dataclass(frozen=True)
class WayUpSpec:
    """The question which way up a page is, and its four answers: upright, then as many quarter turns to the left."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class TaughtSpec:
    """Questions that a model learnt and that ask the same; words: by which another question is taken for one of them,
    in small letters."""

    questions: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Inference:
    """model: the decoder's sizes. is_ecg: the question whether a picture is an ECG page, None for a model that cannot
    tell; is_ecg_threshold: the probability from which on it is taken for one. way_up, whole: the questions which way up
    the page is and whether all of its leads are there, None for a model that cannot tell. notice: what every user must
    read. flatten: photographs are flattened first (edge_runtime.page). further: findings that are asked for where a
    question names them, and not listed. taught: the questions in words that the model learnt, each of the page alone;
    none for a model that takes any (questions.taught)."""

    model: ModelSpec
    preprocess: PreprocessSpec
    prompt: PromptSpec
    generation: GenerationSpec
    default_question: str
    findings: tuple[FindingSpec, ...]
    is_ecg: FindingSpec | None
    is_ecg_threshold: float
    notice: str
    flatten: bool = False
    way_up: WayUpSpec | None = None
    whole: FindingSpec | None = None
    further: tuple[FindingSpec, ...] = ()
    taught: tuple[TaughtSpec, ...] = ()

    @classmethod
    def from_fields(cls, fields: Fields, model: ModelSpec) -> Inference:
        """Read and check all but `model`. Raises UserError naming the first wrong field."""
        is_ecg = None if fields.is_null("is_ecg") else fields.child("is_ecg")
        preprocess = fields.child("preprocess")
        return cls(
            model=model,
            preprocess=PreprocessSpec.from_dict(preprocess.data, preprocess.where, fields.fix),
            prompt=_prompt(fields.child("prompt"), model),
            generation=_generation(fields.child("generation")),
            default_question=fields.text("default_question"),
            findings=(
                *(_finding(i, i.text("label"), i.text("name")) for i in fields.children("findings")),
                *(_learnt(i, model) for i in ([] if fields.is_null("learnt") else fields.children("learnt"))),
            ),
            is_ecg=None if is_ecg is None else _finding(is_ecg, "is_ecg", "ECG page"),
            is_ecg_threshold=0.0 if is_ecg is None else is_ecg.number("threshold", 0, 1),
            notice=fields.text("notice"),
            flatten=not fields.is_null("flatten") and fields.flag("flatten"),
            way_up=None if fields.is_null("way_up") else _way_up(fields.child("way_up")),
            whole=None if fields.is_null("whole") else _finding(fields.child("whole"), "whole", "whole page"),
            further=() if fields.is_null("further") else _further(fields),
            taught=() if fields.is_null("taught") else _taught(fields),
        )

    def to_dict(self) -> dict[str, Any]:
        """All but `model` as JSON, which from_fields reads."""
        is_ecg = None if self.is_ecg is None else {**_asked(self.is_ecg), "threshold": self.is_ecg_threshold}
        data: dict[str, Any] = {
            "preprocess": self.preprocess.to_dict(),
            "prompt": asdict(self.prompt),
            "generation": asdict(self.generation),
            "default_question": self.default_question,
            "findings": [_listed(finding) for finding in self.findings if finding.learnt is None],
            "is_ecg": is_ecg,
            "notice": self.notice,
        }
        # A list of their own: a version that knows no heads must not ask the decoder about them.
        if learnt := [{**_listed(f), "head": f.learnt.to_dict()} for f in self.findings if f.learnt is not None]:
            data["learnt"] = learnt
        # What a model cannot do is left out, as bundles of before it could be done have it.
        if self.flatten:
            data["flatten"] = True
        if self.way_up is not None:
            data["way_up"] = {"question": self.way_up.question, "answers": list(self.way_up.answers)}
        if self.whole is not None:
            data["whole"] = _asked(self.whole)
        if self.further:
            data["further"] = [_listed(finding) for finding in self.further]
        if self.taught:
            data["taught"] = [{key: list(value) for key, value in asdict(spec).items()} for spec in self.taught]
        return data


def _listed(spec: FindingSpec) -> dict[str, Any]:
    data = {**_asked(spec), "label": spec.label, "name": spec.name, "words": list(spec.words)}
    if spec.against:
        data["against"] = list(spec.against)
    if spec.calibration is not None:
        data["calibration"] = spec.calibration.to_dict()
    if spec.recorded is not None:
        data["recorded"] = spec.recorded.to_dict()
    return data


def _asked(spec: FindingSpec) -> dict[str, Any]:
    return {key: getattr(spec, key) for key in ("question", "yes", "no")}


def special_tokens(fields: Fields, vocab_size: int) -> tuple[int | None, tuple[int, ...]]:
    """bos_token_id and eos_token_ids. Raises UserError for what is no token."""
    last = vocab_size - 1
    bos = None if fields.is_null("bos_token_id") else fields.integer("bos_token_id", 0, last)
    return bos, fields.integers("eos_token_ids", 0, last)


def _prompt(fields: Fields, model: ModelSpec) -> PromptSpec:
    spec = PromptSpec(
        system=fields.text("system", empty=True),
        first_turn=fields.text("first_turn"),
        next_turn=fields.text("next_turn"),
        add_bos=fields.flag("add_bos"),
    )
    image, question = spec.first_turn.find(IMAGE), spec.first_turn.find(QUESTION)
    # The image before the question: everything up to its last token is then shared by all questions.
    if not 0 <= image < question or spec.first_turn.count(IMAGE) != 1 or spec.first_turn.count(QUESTION) != 1:
        raise UserError(f"{fields.where}: first_turn must hold {IMAGE} once and, after it, {QUESTION} once")
    if spec.next_turn.count(QUESTION) != 1 or IMAGE in spec.next_turn or IMAGE in spec.system:
        raise UserError(f"{fields.where}: next_turn must hold {QUESTION} once; {IMAGE} belongs in first_turn only")
    if spec.add_bos and model.bos_token_id is None:
        raise UserError(f"{fields.where}: add_bos is true but model has no bos_token_id; {fields.fix}")
    return spec


def _generation(fields: Fields) -> GenerationSpec:
    spec = GenerationSpec(
        max_new_tokens=fields.integer("max_new_tokens", 1),
        temperature=fields.number("temperature"),
        top_p=fields.number("top_p"),
        top_k=fields.integer("top_k", 0),
    )
    try:
        Sampler(spec.temperature, spec.top_p, spec.top_k)
    except UserError as error:
        raise UserError(f"{fields.where}: {error}") from None
    return spec


def _finding(fields: Fields, label: str, name: str) -> FindingSpec:
    # Bundles of before it was listed name a finding by its name.
    words = (name,) if fields.is_null("words") else fields.texts("words")
    against = () if fields.is_null("against") else fields.texts("against")
    calibration = None if fields.is_null("calibration") else _calibration(fields.child("calibration"))
    recorded = None if fields.is_null("recorded") else _calibration(fields.child("recorded"))
    question, yes, no = (fields.text(key) for key in ("question", "yes", "no"))
    spec = FindingSpec(label, name, question, yes, no, words, against, calibration, recorded=recorded)
    if spec.yes == spec.no:
        raise UserError(f"{fields.where}: yes and no are both {shorten(spec.yes)}; {fields.fix}")
    return spec


def _learnt(fields: Fields, model: ModelSpec) -> FindingSpec:
    spec = _finding(fields, fields.text("label"), fields.text("name"))
    return replace(spec, learnt=Learnt.from_fields(fields.child("head"), model.hidden_size))


def _further(fields: Fields) -> tuple[FindingSpec, ...]:
    return tuple(_finding(each, each.text("label"), each.text("name")) for each in fields.children("further"))


def _taught(fields: Fields) -> tuple[TaughtSpec, ...]:
    taught = tuple(TaughtSpec(each.texts("questions"), each.texts("words")) for each in fields.children("taught"))
    if taught and not any(fields.text("default_question") in spec.questions for spec in taught):
        raise UserError(f"{fields.where}: default_question is not among those taught; {fields.fix}")
    return taught


def _way_up(fields: Fields) -> WayUpSpec:
    spec = WayUpSpec(fields.text("question"), fields.texts("answers"))
    if len(spec.answers) != 4 or len(set(spec.answers)) != 4:
        raise UserError(f"{fields.where}: answers must be four different ones, upright first; {fields.fix}")
    return spec


def _calibration(fields: Fields) -> Calibration:
    # A slope of 0 or less would turn the model's own order round.
    slope, offset, point = fields.number("slope", 1e-3), fields.number("offset"), fields.number("point", 0, 1)
    sensitivity, precision = (
        None if fields.is_null(k) else fields.number(k, 0, 1) for k in ("sensitivity", "precision")
    )
    signal_slope = 0.0 if fields.is_null("signal_slope") else fields.number("signal_slope", 0)
    return Calibration(slope, offset, point, sensitivity, precision, fields.integer("positives", 0), signal_slope)
