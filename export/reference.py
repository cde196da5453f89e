"""float32 torch behind the runtime's Engine protocol, so that one and the same Session drives model and artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge_runtime.engines import Cache
from export.graphs import DecoderGraph, EmbedGraph, VisionGraph
from pulse.model.config import Config
from pulse.model.llava import Llava


@dataclass(frozen=True)
class TorchCache:
    """Keys and values, alternating by layer, float32 [1, KV, length, head_dim]."""

    tensors: tuple[Tensor, ...]
    length: int


class TorchEngine:
    """The engine that certificates compare with; see edge_runtime.engines.Engine. `model` must be in float32."""

    def __init__(self, model: Llava, config: Config) -> None:
        self.config = config
        self._vision, self._embed, self._decoder = VisionGraph(model), EmbedGraph(model), DecoderGraph(model)
        text = config.text
        self._empty = torch.zeros(1, text.num_key_value_heads, 0, text.head_dim)
        self._layers = text.num_hidden_layers

    @torch.inference_mode()
    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        return self._vision(torch.from_numpy(pixels)).flatten(0, 1).numpy()

    @torch.inference_mode()
    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        return self._embed(torch.tensor([list(ids)], dtype=torch.long))[0].numpy()

    def empty_cache(self) -> TorchCache:
        """The cache before the first token."""
        return TorchCache((self._empty,) * (2 * self._layers), 0)

    @torch.inference_mode()
    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, TorchCache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        if not isinstance(cache, TorchCache):
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        x = torch.from_numpy(np.ascontiguousarray(embeds, np.float32))[None]
        logits, *present = self._decoder(x, *cache.tensors)
        return logits[0].numpy(), TorchCache(tuple(present), cache.length + len(embeds))
