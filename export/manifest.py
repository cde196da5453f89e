"""Checkpoint + graphs -> bundle folder: what every target's exporter shares, so that the targets only write graphs."""

from __future__ import annotations

import datetime
import json
import platform
from dataclasses import replace
from importlib import metadata
from typing import Any

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.manifest import MANIFEST, parse
from export.options import Options
from pulse.checkpoint.checkpoint import CONFIG, Checkpoint
from pulse.model.config import Config

# What the device needs and only the checkpoint knows; config.json's section "runtime" holds them as the manifest does.
RUNTIME_KEYS = ("preprocess", "prompt", "generation", "default_question", "findings", "is_ecg", "notice")
TOOLS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "executorch": ("executorch", "torchao"),
    "coreml": ("coremltools",),
    "gguf": ("gguf",),
}


def manifest_of(
    config: Config,
    source: Checkpoint,
    target: str,
    weights: str,
    artifacts: dict[str, str],
    options: Options | None = None,
) -> dict[str, Any]:
    """The manifest's fields but `files` and `format_version`, which edge_runtime.bundle.write_manifest adds.

    artifacts: what the target wrote, such as {"vision": "vision.onnx"}, paths relative to the bundle. options: those
    that `config` has been given already, which are recorded.
    Raises UserError when the checkpoint's config.json lacks a part of its runtime section.
    """
    runtime = config.runtime
    for key in (*RUNTIME_KEYS, "eos_token_ids", "bos_token_id"):
        if key not in runtime:
            raise UserError(f"{source.folder / CONFIG}: its section runtime has no {key}; add it")
    tools = ("pulse-edge", "torch", *TOOLS[target])
    return {
        "name": config.name or source.name,
        "target": target,
        "weights": weights,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": {"checkpoint": config.name or source.name, "sha256": source.digest()},
        "tools": {**{name: metadata.version(name) for name in tools}, "python": platform.python_version()},
        **_of_the_model(config),
        "artifacts": artifacts,
        "options": (options or Options()).as_json(),
    }


def _of_the_model(config: Config) -> dict[str, object]:
    """The sections that say how the model is used, which are the same for every target."""
    text, runtime = config.text, config.runtime
    model = {
        "vocab_size": text.vocab_size,
        "hidden_size": text.hidden_size,
        "layers": text.num_hidden_layers,
        "kv_heads": text.num_key_value_heads,
        "head_dim": text.head_dim,
        "context_length": text.max_position_embeddings,
        "bos_token_id": runtime["bos_token_id"],
        "eos_token_ids": runtime["eos_token_ids"],
    }
    return {"model": model, **{key: runtime[key] for key in RUNTIME_KEYS}}


def as_the_checkpoint_says(bundle: Bundle, config: Config) -> Bundle:
    """The bundle as its manifest would have it if it said about the model what the checkpoint's config says.

    So a certificate sees a manifest that is wrong about preprocessing, prompt or questions.
    """
    written = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    return replace(bundle, manifest=parse({**written, **_of_the_model(config)}))
