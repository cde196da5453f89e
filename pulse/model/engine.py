"""float32 torch behind the runtime's Engine protocol, so that one and the same Session drives model and artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edge_runtime.engines import Cache
from pulse.model.config import Config
from pulse.model.llava import Llava


@dataclass(frozen=True)
class TorchCache:
    """Keys and values, alternating by layer, float32 [1, KV, length, head_dim]."""

    tensors: tuple[Tensor, ...]
    length: int


class TorchEngine:
    """The engine that certificates compare with, and that teachers answer with; see edge_runtime.engines.Engine.

    `model` must be in float32, and on `device`.
    """

    def __init__(self, model: Llava, config: Config, device: torch.device | None = None) -> None:
        self.config, self.model = config, model
        self._device = device or torch.device("cpu")
        text = config.text
        self._empty = torch.zeros(1, text.num_key_value_heads, 0, text.head_dim, device=self._device)
        self._layers = text.num_hidden_layers

    @torch.inference_mode()
    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        return self.model.features(torch.from_numpy(pixels).to(self._device)).flatten(0, 1).cpu().numpy()

    @torch.inference_mode()
    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        rows = self.model.language_model.model.embed_tokens(torch.tensor(list(ids), device=self._device))
        return rows.float().cpu().numpy()

    def empty_cache(self) -> TorchCache:
        """The cache before the first token."""
        return TorchCache((self._empty,) * (2 * self._layers), 0)

    @torch.inference_mode()
    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, TorchCache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        if not isinstance(cache, TorchCache):
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        x = torch.from_numpy(np.ascontiguousarray(embeds, np.float32))[None].to(self._device)
        logits, present = self.model.language_model(x, cache.tensors)
        return logits[0].cpu().numpy(), TorchCache(tuple(present), cache.length + len(embeds))
