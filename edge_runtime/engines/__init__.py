"""The seam between the session and whatever runs the graphs. One file per target, imported only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError

# target in the manifest: module with an `open_engine(bundle, threads)`.
ENGINES = {
    "onnx": "edge_runtime.engines.onnx",
    "executorch": "edge_runtime.engines.executorch",
    "coreml": "edge_runtime.engines.coreml",
}

# python-for-android sets this variable; there the runtimes are Java libraries.
_ANDROID = "ANDROID_ARGUMENT"
_ON_ANDROID = {
    "onnx": "edge_runtime.engines.onnx_java",
    "executorch": "edge_runtime.engines.executorch_java",
}

# Where a Mac has coremltools, iOS has Apple's library alone.
_ON_IOS = {"coreml": "edge_runtime.engines.coreml_ios"}


class Cache(Protocol):
    """Keys and values of the tokens decoded so far. A value, never changed: several questions can follow one image."""

    @property
    def length(self) -> int:
        """Positions held."""
        ...


class Engine(Protocol):
    """What a session needs from a target. D: hidden size, V: vocabulary size; all arrays float32."""

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D], projector included, all tiles in order, for pixels [N, C, H, W]."""
        ...

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        ...

    def empty_cache(self) -> Cache:
        """The cache before the first token."""
        ...

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        """Logits [V] after embeds [S, D] (S of 1 or more) that follow `cache`, and the cache that holds both."""
        ...


def open_engine(bundle: Bundle, threads: int | None = None, provider: str | None = None) -> Engine:
    """The engine for the bundle's target, computing with `threads` threads (None: one per usable physical core).

    provider: which of ONNX Runtime's execution providers runs an onnx bundle (None: its CPU's). Raises UserError when
    the target cannot be run here, or threads is below 1.
    """
    target = bundle.manifest.target
    if target == "gguf":
        raise UserError(
            f"{bundle.folder}: is run by llama.cpp's own programs: llama-mtmd-cli -m {bundle.path('decoder')} "
            f"--mmproj {bundle.path('vision')} --jinja --temp 0 --image PAGE -p QUESTION"
        )
    if target not in ENGINES:
        known = ", ".join(ENGINES)
        raise UserError(
            f"{bundle.folder}: its target is {target}, which this version cannot run here (it runs {known}); "
            f"export again with --target {next(iter(ENGINES))}"
        )
    here = _ON_ANDROID if _ANDROID in os.environ else _ON_IOS if sys.platform == "ios" else {}
    module = here.get(target, ENGINES[target])
    choice = () if provider is None else (provider,)
    if choice and module != ENGINES["onnx"]:
        raise UserError(
            f"{bundle.folder}: execution providers are ONNX Runtime's, and its target is {target}; give none"
        )
    engine: Engine = importlib.import_module(module).open_engine(bundle, threads, *choice)
    return engine
