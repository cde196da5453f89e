"""Runs a bundle's ExecuTorch program, on the CPU or whatever its delegate drives.

A large decoder lies in programs of its own, some layers in each. Programs keep their KV cache in their own memory;
engines.stateful makes of it the caches as values of a Session.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache
from edge_runtime.errors import CannotRunHere, UserError, shorten
from edge_runtime.stateful import History, StatefulDecoder, decoder_artifacts

VISION, EMBED, DECODER = "vision_encoder", "token_embedding", "text_decoder"


class ExecutorchEngine:
    """The engine for target "executorch"; see engines.Engine for the shapes.

    Raises CannotRunHere when this machine lacks ExecuTorch's runtime or the delegate's, UserError when the program
    cannot be loaded or is not of the format.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        runtime = _runtime()
        self._path = bundle.path("program")
        self._model = bundle.manifest.inference.model
        backend = _backend(bundle)
        if not runtime._is_available(backend):
            raise CannotRunHere(f"{self._path}: its delegate {backend} cannot run on this machine; use the device's")
        # The runtime takes torch tensors only and has imported torch itself; nothing else here knows of it.
        self._torch: Any = sys.modules["torch"]
        if backend == "XnnpackBackend":
            _load_attention(self._torch)
        if threads is not None:
            runtime._unsafe_reset_threadpool(threads)
        try:
            self._program = runtime._load_program(str(self._path))
            self._vision, self._embed = (self._program.load_method(name) for name in (VISION, EMBED))
            parts = [bundle.path(name) for name in decoder_artifacts(bundle.manifest.artifacts)]
            # Loaded anew even where it is the same file: all methods of a loaded program get the same memory, and
            # token_embedding would write over the decoder's keys. A method needs its program, so both are kept.
            self._parts = [runtime._load_program(str(path)) for path in parts or [self._path]]
            self._decoders = [part.load_method(DECODER) for part in self._parts]
            (self._most,) = self._program.load_method("get_max_seq_len").call([])
            (context,) = self._program.load_method("get_max_context_len").call([])
        except (RuntimeError, ValueError) as error:
            reason = shorten(str(error).splitlines()[0])
            raise UserError(f"{self._path}: ExecuTorch cannot load it ({reason}); export the bundle again") from None
        if context != self._model.context_length:
            raise UserError(
                f"{self._path}: holds {context} positions, not the manifest's {self._model.context_length}; "
                "export the bundle again"
            )
        self._cached = StatefulDecoder(self._step, self._most)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        return np.concatenate([self._run(self._vision, tile[None])[0] for tile in pixels])

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        array = np.asarray(ids, np.int64).reshape(1, -1)
        parts = [self._run(self._embed, array[:, i : i + self._most])[0] for i in range(0, array.shape[1], self._most)]
        return np.concatenate(parts)

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both.

        Raises UserError when they do not fit the program's buffers.
        """
        positions, most = getattr(cache, "length", 0) + len(embeds), self._model.context_length
        if positions > most:
            raise UserError(
                f"{positions} positions do not fit the model's {most}; "
                "ask a shorter question or start again from the image"
            )
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        x, places = np.asarray(embeds, np.float32)[None], np.arange(position, position + len(embeds))
        for decoder in self._decoders:
            x = self._run(decoder, x, places)
        return x.reshape(-1)

    def _run(self, method: Any, *arrays: np.ndarray) -> np.ndarray:
        tensors = [self._torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
        try:
            return np.asarray(method.call(tensors)[0].numpy())
        except RuntimeError as error:
            reason = shorten(str(error).splitlines()[0])
            raise UserError(f"{self._path}: ExecuTorch stopped ({reason}); export the bundle again") from None


def open_engine(bundle: Bundle, threads: int | None = None) -> ExecutorchEngine:
    """What the registry calls."""
    return ExecutorchEngine(bundle, threads)


def _runtime() -> Any:
    try:
        from executorch.extension.pybindings import portable_lib
    except ImportError:
        raise CannotRunHere(
            "this bundle needs ExecuTorch's Python runtime, which is not installed; pip install pulse-edge[targets]"
        ) from None
    return portable_lib


def _load_attention(torch: Any) -> None:
    """Register the attention operators of ExecuTorch's language-model runners, which its Python runtime keeps apart."""
    spec = importlib.util.find_spec("executorch.extension.llm.custom_ops")
    for folder in spec.submodule_search_locations or () if spec else ():
        for library in sorted(Path(folder).glob("libcustom_ops_aot_lib.*")):
            torch.ops.load_library(str(library))


def _backend(bundle: Bundle) -> str:
    path = bundle.path("delegation")
    try:
        backend = json.loads(path.read_text(encoding="utf-8"))["backend"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: does not say which delegate it is for; export the bundle again") from None
    return str(backend)
