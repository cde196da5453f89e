"""What manifest.json says, as frozen dataclasses: the contract between the exporters and every device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.errors import UserError, shorten
from edge_runtime.fields import Fields
from edge_runtime.preprocess import PreprocessSpec
from edge_runtime.sampling import Sampler
from edge_runtime.signature import SIGNATURE

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
IMAGE = "<image>"
QUESTION = "{question}"
TARGETS = ("onnx", "executorch", "coreml", "gguf")
ARTIFACTS = {
    "onnx": ("vision", "embed", "decoder", "tokenizer"),
    "executorch": ("program", "delegation", "tokenizer"),
    "coreml": ("tokenizer",),
    "gguf": ("decoder", "vision", "tokenizer"),
}


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
class FindingSpec:
    """A yes-or-no question whose answer is read as a probability. yes and no are text, tokenized as they are.

    words: phrases by which a text names the finding.
    """

    label: str
    name: str
    question: str
    yes: str
    no: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """manifest.json, checked. files maps each relative path to (SHA-256 in hex, size in bytes)."""

    name: str
    target: str
    weights: str
    created: str
    notice: str
    model: ModelSpec
    preprocess: PreprocessSpec
    prompt: PromptSpec
    generation: GenerationSpec
    default_question: str
    findings: tuple[FindingSpec, ...]
    is_ecg: FindingSpec | None
    is_ecg_threshold: float
    artifacts: Mapping[str, str]
    files: Mapping[str, tuple[str, int]]


def parse(data: object) -> Manifest:
    """Check the content of a manifest.json. Raises UserError naming the first wrong field, the version before all."""
    root = Fields(data, MANIFEST)
    check_version(root)
    root.child("source")
    root.child("tools")
    target = root.text("target", choices=TARGETS)
    files = _files(root.child("files"))
    model = _model(root.child("model"))
    is_ecg = None if root.is_null("is_ecg") else root.child("is_ecg")
    return Manifest(
        name=root.text("name"),
        target=target,
        weights=root.text("weights"),
        created=root.text("created"),
        notice=root.text("notice"),
        model=model,
        preprocess=PreprocessSpec.from_dict(root.child("preprocess").data, f"{MANIFEST}: preprocess"),
        prompt=_prompt(root.child("prompt"), model),
        generation=_generation(root.child("generation")),
        default_question=root.text("default_question"),
        findings=tuple(_finding(item, item.text("label"), item.text("name")) for item in root.children("findings")),
        is_ecg=None if is_ecg is None else _finding(is_ecg, "is_ecg", "ECG page"),
        is_ecg_threshold=0.0 if is_ecg is None else is_ecg.number("threshold", 0, 1),
        artifacts=_artifacts(root.child("artifacts"), target, files),
        files=files,
    )


def check_version(root: Fields) -> None:
    """Raises UserError when format_version is not ours: nothing else in the file can be trusted to mean the same."""
    version = root.integer("format_version", 1)
    if version > FORMAT_VERSION:
        raise UserError(
            f"{root.where}: format_version is {version} but this pulse-edge reads up to {FORMAT_VERSION}; "
            "upgrade pulse-edge (pip install -U pulse-edge)"
        )


def check_name(name: str, where: str) -> str:
    """A relative path with forward slashes that stays inside the bundle on every system; UserError otherwise."""
    parts = name.split("/")
    if (
        any(part in ("", ".", "..") for part in parts)
        or any(c in name for c in "\\:\0")
        or name in (MANIFEST, SIGNATURE)
    ):
        raise UserError(f"{where}: {shorten(name)} is not a path inside the bundle; export the bundle again")
    return name


def _model(fields: Fields) -> ModelSpec:
    vocab_size = fields.integer("vocab_size", 1)
    last = vocab_size - 1
    return ModelSpec(
        vocab_size=vocab_size,
        hidden_size=fields.integer("hidden_size", 1),
        layers=fields.integer("layers", 1),
        kv_heads=fields.integer("kv_heads", 1),
        head_dim=fields.integer("head_dim", 1),
        context_length=fields.integer("context_length", 1),
        bos_token_id=None if fields.is_null("bos_token_id") else fields.integer("bos_token_id", 0, last),
        eos_token_ids=fields.integers("eos_token_ids", 0, last),
    )


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
        raise UserError(f"{fields.where}: add_bos is true but model has no bos_token_id; export the bundle again")
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
    spec = FindingSpec(label, name, fields.text("question"), fields.text("yes"), fields.text("no"), words)
    if spec.yes == spec.no:
        raise UserError(f"{fields.where}: yes and no are both {shorten(spec.yes)}; export the bundle again")
    return spec


def _files(fields: Fields) -> dict[str, tuple[str, int]]:
    files = {}
    for name in fields.data:
        check_name(name, fields.where)
        entry = fields.child(name)
        digest = entry.text("sha256")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise UserError(f"{entry.where}: sha256 must be 64 lower-case hex digits; export the bundle again")
        files[name] = (digest, entry.integer("bytes", 0))
    return files


def _artifacts(fields: Fields, target: str, files: Mapping[str, object]) -> dict[str, str]:
    needed = ARTIFACTS[target]
    artifacts = {key: check_name(fields.text(key), fields.where) for key in dict.fromkeys([*needed, *fields.data])}
    for key, name in artifacts.items():
        # A Core ML package is a folder: then the files below it are listed, not the folder.
        if name not in files and not any(listed.startswith(name + "/") for listed in files):
            raise UserError(f"{fields.where}: {key} is {shorten(name)}, which files does not list; export it again")
    return artifacts
