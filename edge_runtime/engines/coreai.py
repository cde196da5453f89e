"""Runs a bundle's Core AI assets with Apple's runtime: on a Mac the system's, else that of coreai-core, on the CPU.

Keys and values go in and come out as arrays, so caches are values and branches need no care. The runtime (1.0.0b3) ends
the process on an asset whose bytes are not a program's; Bundle.load has held every byte against its digest before.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
import weakref
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache
from edge_runtime.errors import CannotRunHere, UserError, shorten
from edge_runtime.quiet import stderr_apart

# Attention scores grow with the square of what is decoded at once.
CHUNK = 512


@dataclass(frozen=True)
class ArrayCache:
    """Keys and values of every layer, [1, KV, length, head_dim] each."""

    arrays: tuple[np.ndarray, ...]
    length: int


class CoreAIEngine:
    """The engine for target "coreai"; see engines.Engine for the shapes.

    Raises CannotRunHere when the runtime is not installed, UserError when an asset cannot be loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._model, self._runner = bundle.manifest.inference.model, _Runner(bundle.folder)
        self._vision, self._embed, self._decoder = (
            self._runner.load(bundle.path(name)) for name in ("vision", "embed", "decoder")
        )
        self._names = [f"{kind}_{i}" for i in range(self._model.layers) for kind in ("key", "value")]

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W], a tile at a time."""
        tiles = [self._run(self._vision, {"pixels": tile[None]})["features"] for tile in np.asarray(pixels, np.float32)]
        return np.concatenate(tiles).reshape(-1, self._model.hidden_size)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        return self._run(self._embed, {"input_ids": np.asarray(ids, np.int32)[None]})["embeds"][0]

    def empty_cache(self) -> ArrayCache:
        """The cache before the first token."""
        empty = np.zeros((1, self._model.kv_heads, 0, self._model.head_dim), np.float32)
        return ArrayCache((empty,) * len(self._names), 0)

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, ArrayCache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both.

        Raises UserError when they do not fit the model's context.
        """
        if not isinstance(cache, ArrayCache):
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        if len(embeds) == 0:
            raise ValueError("decode needs at least one position")
        if cache.length + len(embeds) > self._model.context_length:
            raise UserError(
                f"{cache.length + len(embeds)} positions do not fit the model's {self._model.context_length}; "
                "ask a shorter question or start again from the image"
            )
        found: dict[str, np.ndarray] = {}
        for start in range(0, len(embeds), CHUNK):
            rows = np.asarray(embeds[None, start : start + CHUNK], np.float32)
            past = {f"past_{name}": array for name, array in zip(self._names, cache.arrays, strict=True)}
            found = self._run(self._decoder, {"embeds": rows, **past})
            present = tuple(found[f"present_{name}"] for name in self._names)
            cache = ArrayCache(present, cache.length + rows.shape[1])
        return found["logits"][0], cache

    def _run(self, function: Any, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self._runner.run(function, feed)


class _Runner:
    """Apple's Python runtime is asynchronous, and the engine's callers are not: one thread has its event loop."""

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from coreai.authoring import AIModelAsset
                from coreai.runtime import NDArray
        except ImportError:
            raise CannotRunHere(
                f"{folder}: needs Apple's Core AI runtime, which is not installed; pip install 'pulse-edge[coreai]'"
            ) from None
        self._asset, self._array, self._folder = AIModelAsset, NDArray, folder
        self._loop, self._open = asyncio.new_event_loop(), AsyncExitStack()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        weakref.finalize(self, _close, self._loop, self._open)

    def load(self, path: Path) -> Any:
        """An asset's only function. Raises UserError."""

        async def load() -> Any:
            model = await self._open.enter_async_context(self._asset.load(path).executable())
            return model.load_function("main")

        try:
            with stderr_apart():
                return self._wait(load())
        except Exception as error:  # the runtime's exceptions share no base class but Exception
            reason = shorten(str(error), 120)
            raise UserError(f"{path}: Core AI cannot load it ({reason}); export the bundle again") from None

    def run(self, function: Any, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A function's outputs, as arrays of their own. Raises UserError."""

        async def run() -> dict[str, np.ndarray]:
            given = {name: self._array(np.ascontiguousarray(array)) for name, array in feed.items()}
            return {name: np.array(value.numpy()) for name, value in (await function(given)).items()}

        try:
            return self._wait(run())
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(f"{self._folder}: Core AI stopped ({reason}); export the bundle again") from None

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


def _close(loop: asyncio.AbstractEventLoop, opened: AsyncExitStack) -> None:
    asyncio.run_coroutine_threadsafe(opened.aclose(), loop).result(timeout=10)
    loop.call_soon_threadsafe(loop.stop)


def open_engine(bundle: Bundle, threads: int | None = None) -> CoreAIEngine:
    """What the registry calls. Core AI chooses its own threads: `threads` has no effect."""
    return CoreAIEngine(bundle)
