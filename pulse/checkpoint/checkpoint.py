"""The noun Checkpoint: a model on disk, opened once and passed on. What MODEL on a command line means is decided here
and nowhere else."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UserError, shorten
from pulse.checkpoint.adapter import ADAPTER, Adapter
from pulse.checkpoint.published import KINDS, Published, quantization_in, read_published
from pulse.files.side_file import read_json
from pulse.model.config import MODEL_TYPE, Config, parse_config

if TYPE_CHECKING:
    from torch import Tensor

NANO = "pulse-nano"
CONFIG = "config.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder and its config; published: how it was published where it is not in our own layout; adapter:
    what LoRA training made of the folder's model."""

    folder: Path
    config: Config
    published: Published | None = None
    adapter: Adapter | None = None

    @classmethod
    def open(cls, model: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> Checkpoint:
        """The shipped checkpoint for "pulse-nano", otherwise the one in the folder of that name.

        An id such as PULSE-ECG/PULSE-7B, where there is no folder of that name, is fetched from the Hugging Face hub
        into its own cache. base: of a folder that LoRA training left, where it does not name one that is here. Raises
        UserError when there is no such folder, the hub cannot be reached or does not have
        it, or config.json is missing, no JSON or another model's.
        """
        folder, adapter = _folder(os.fspath(model)), None
        if (folder / ADAPTER).is_file():
            adapter = Adapter.read(folder)
            folder = _base_of(adapter, base)
        elif base is not None:
            raise UserError(f"{folder}: is no adapter, so it has no base model; leave --base out")
        path = folder / CONFIG
        if not path.exists():
            raise UserError(f"{folder} holds no {CONFIG}; give a checkpoint folder")
        data = read_json(path)
        if adapter is not None:
            data = _trained(adapter, folder, data)
        kind = data.get("model_type")
        if kind in KINDS:
            published = read_published(folder, data)
            return cls(folder, published.config, published, adapter)
        if kind != MODEL_TYPE:
            known = ", ".join((MODEL_TYPE, *KINDS))
            raise UserError(f"{path} describes a model of type {kind!r}; this version reads {known} checkpoints")
        return cls(folder, parse_config(data, path), None, adapter)

    @property
    def origin(self) -> Path:
        """The folder that was asked for: the adapter's where there is one."""
        return self.folder if self.adapter is None else self.adapter.folder

    @property
    def name(self) -> str:
        """What the checkpoint calls itself, or its folder's name."""
        return (self.config.name if self.adapter is None else "") or self.origin.name

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(our name, tensor) of every tensor, one in memory at a time. Raises UserError as iter_tensors does."""
        from pulse.checkpoint.weights import iter_tensors  # brings torch, which opening a checkpoint does not need

        return iter_tensors(self.folder, self.published, self.adapter)

    def digest(self) -> str:
        """SHA-256 over the names and contents of the weight files: which weights a bundle was made from."""
        digest = hashlib.sha256()
        weights = [*sorted(self.folder.glob("*.safetensors")), *sorted(self.folder.glob("pytorch_model*.bin"))]
        for path in [*weights, *(self.adapter.files() if self.adapter else [])]:
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def identity(self) -> dict[str, Any]:
        """What tells this checkpoint from another, or from itself after a change, without reading gigabytes."""
        files = sorted(path for path in self.folder.iterdir() if path.is_file())
        files += self.adapter.files() if self.adapter else []
        return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}

    def check_tokenizer(self) -> None:
        """Raises UserError when the checkpoint has no tokenizer."""
        from pulse.checkpoint.tokenizer import check_tokenizer

        check_tokenizer(self.folder)

    def write_tokenizer(self, out: Path) -> None:
        """Write the checkpoint's tokenizer.json to `out`. Raises UserError as pulse.checkpoint.tokenizer does."""
        from pulse.checkpoint.tokenizer import write_tokenizer

        write_tokenizer(self.folder, out, self.config.text.vocab_size)


def _base_of(adapter: Adapter, base: str | os.PathLike[str] | None) -> Path:
    if base is not None:
        return _folder(os.fspath(base))
    if not adapter.base:
        raise UserError(f"{adapter.folder}: is an adapter (LoRA) that names no base model; give it with --base")
    try:
        return _folder(adapter.base)
    except UserError as error:
        raise UserError(
            f"{adapter.folder}: is an adapter (LoRA) whose base model is not here ({error}); give it with --base"
        ) from None


def _trained(adapter: Adapter, base: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The base's config.json with what LLaVA's training changed in it. Raises UserError for a quantized base."""
    if quantization := quantization_in(base, data):
        method = shorten(quantization["quantization_config"].get("quant_method", "no method named"))
        raise UserError(
            f"{adapter.folder}: is an adapter (LoRA), and its base model {base} is quantized ({method}): nothing can "
            "be merged into integers; give the float model that it was quantized from with --base MODEL"
        )
    own = adapter.folder / CONFIG
    trained = read_json(own) if own.is_file() else {}
    # QLoRA (Dettmers et al. 2023) quantizes the base while it trains, and says so here; the float base is merged.
    return {**data, **{key: value for key, value in trained.items() if key != "quantization_config"}}


def _folder(model: str) -> Path:
    if model == NANO:
        return Path(str(resources.files("pulse"))) / "nano"
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{folder}: is a file; give a checkpoint folder, or {NANO}")
    if _HUB_ID.fullmatch(model) and not model.startswith("."):
        return _from_hub(model)
    raise UserError(f"{shorten(model)}: no such folder; give a checkpoint folder, or {NANO}")


def _from_hub(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{model}: no such folder, and hub ids need huggingface_hub; pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.bin", "tokenizer.model"]))
    # Its own errors, and those of whatever HTTP library its version uses.
    except Exception as error:
        reason = shorten(" ".join(str(error).split()), 120)
        raise UserError(
            f"{model}: no such folder, and the hub does not give it ({reason}); download it and give its folder"
        ) from None
