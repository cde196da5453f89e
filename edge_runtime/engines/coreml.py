"""Runs a bundle's Core ML packages: with Apple's runtime through coremltools on a Mac, nowhere else.

Computation is in float16 where the package says so, keys and values are kept in Core ML states (iOS 18, macOS 15).
CoreMLEngine takes the function that loads a package, so that whatever else can run one drives the very same code.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache
from edge_runtime.errors import UserError, shorten
from edge_runtime.stateful import History, StatefulDecoder, decoder_artifacts

# The most positions one call of the decoder or the embedding takes; the exporter bounds the packages' inputs by it.
STEP = 512
# Added to the scores of positions that may not be looked at. exp(-1e4) is 0, and float16 holds it with room for scores.
MASKED = -1e4


class Package(Protocol):
    """A loaded .mlpackage: the two methods of coremltools' MLModel that are needed."""

    def make_state(self) -> Any:
        """A fresh state, all zero."""
        ...

    def predict(self, data: dict[str, Any], state: Any = None) -> dict[str, Any]:
        """Output arrays by name."""
        ...


class CoreMLEngine:
    """The engine for target "coreml"; see engines.Engine for the shapes. load: opens one package.

    Raises UserError when the bundle lacks a package. A large decoder lies in several packages, each with its own state
    (`states`).
    """

    def __init__(self, bundle: Bundle, load: Callable[[Path], Package]) -> None:
        self._width = bundle.manifest.inference.model.hidden_size
        self._vision = load(bundle.path("vision"))
        self._embed = load(bundle.path("embed"))
        self._decoder = [
            load(bundle.path(name)) for name in decoder_artifacts(bundle.manifest.artifacts) or ["decoder"]
        ]
        self.states = [package.make_state() for package in self._decoder]
        self._cached = StatefulDecoder(self._step, STEP)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]; the package takes one tile at a time."""
        tiles = [_floats(self._vision.predict({"pixels": tile[None]}), "features") for tile in _float32(pixels)]
        return np.concatenate(tiles).reshape(-1, self._width)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        row = np.asarray(ids, np.int32)[None]
        parts = [
            _floats(self._embed.predict({"input_ids": row[:, i : i + STEP]}), "embeds")
            for i in range(0, row.shape[1], STEP)
        ]
        return np.concatenate(parts, axis=1)[0]

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        rows, end = len(embeds), position + len(embeds)
        allowed = np.arange(end)[None] <= position + np.arange(rows)[:, None]  # [S, E]
        mask = np.where(allowed, 0.0, MASKED).astype(np.float32)[None, None]
        x, last = embeds[None], len(self._decoder) - 1
        for i, (package, state) in enumerate(zip(self._decoder, self.states, strict=True)):
            x = _floats(package.predict({"embeds": x, "mask": mask}, state), "logits" if i == last else "hidden")
        return x[0]


def open_engine(bundle: Bundle, threads: int | None = None) -> CoreMLEngine:
    """What the registry calls. Core ML chooses its own threads: `threads` has no effect.

    Raises UserError anywhere but on macOS, and when coremltools is missing or cannot load a package.
    """
    if platform.system() != "Darwin":
        raise UserError(
            f"{bundle.folder}: Apple's Core ML runs on Apple devices only, and this is {platform.system()}; "
            "the certificate in the bundle was made by an interpreter of the same packages, and pulse-verify repeats it"
        )
    try:
        import coremltools
    except ImportError:
        raise UserError("this bundle needs coremltools, which is not installed; pip install coremltools") from None

    def load(path: Path) -> Package:
        try:
            package: Package = coremltools.models.MLModel(str(path))
        # Errors of the compiler behind it come as RuntimeError, and as plain Exception.
        except Exception as error:
            raise UserError(
                f"{path}: Core ML cannot load it ({shorten(str(error), 120)}); macOS 15 or newer is needed"
            ) from None
        return package

    return CoreMLEngine(bundle, load)


def _float32(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)


def _floats(outputs: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray(outputs[name], np.float32)
