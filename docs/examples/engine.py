"""What runs bundles of target "pt2", the example in target.py. Put it into edge_runtime/engines/ as pt2.py.

A workstation has torch; the engines that come with the runtime need no such thing, and import-linter holds them to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache


@dataclass(frozen=True)
class Past:
    """Keys and values of every layer, [1, KV, length, head_dim] each."""

    tensors: tuple[torch.Tensor, ...]
    length: int


class ProgramEngine:
    """See edge_runtime.engines.Engine for the shapes."""

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.manifest.inference.model
        self._vision, self._embed, self._decoder = (
            torch.export.load(bundle.path(name)).module() for name in ("vision", "embed", "decoder")
        )

    def _run(self, program: Any, *arrays: Any) -> Any:
        with torch.no_grad():
            return program(*(torch.as_tensor(array) for array in arrays))

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        return np.concatenate([self._run(self._vision, tile[None])[0].numpy() for tile in pixels])

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        return self._run(self._embed, [list(ids)])[0].numpy()

    def empty_cache(self) -> Past:
        none = torch.zeros(1, self._model.kv_heads, 0, self._model.head_dim)
        return Past((none,) * 2 * self._model.layers, 0)

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Past]:
        assert isinstance(cache, Past)
        logits, *present = self._run(self._decoder, embeds[None].astype(np.float32), *cache.tensors)
        return logits[0].numpy(), Past(tuple(present), cache.length + len(embeds))


def open_engine(bundle: Bundle, threads: int | None = None) -> ProgramEngine:
    """Raises UserError when the bundle lacks a program."""
    torch.set_num_threads(threads or torch.get_num_threads())
    return ProgramEngine(bundle)
