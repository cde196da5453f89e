"""float32 torch in little memory: the tower first, then the decoder's layers one after the other, each used up.

What is asked of the model must be known before: there is one pass, over whole sequences, and nothing is left to go on
from. Weights are widened and dequantized when their turn comes (quantize.load.load_model's halves).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from edge_runtime.engines import Cache
from export.graph.parts import EmbedGraph, VisionGraph, forget, widen
from pulse.files.memory import release_mapped
from pulse.model.llama import Layer, rotary
from pulse.model.llava import Llava


class Eyes:
    """The part of an engine that comes before the decoder; see edge_runtime.engines.Engine."""

    def __init__(self, model: Llava) -> None:
        widen(model.vision_tower, model.multi_modal_projector)
        self._vision, self._embed = VisionGraph(model), EmbedGraph(model)

    @torch.inference_mode()
    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W], a tile at a time."""
        return np.concatenate([self._vision(tile[None])[0].numpy() for tile in torch.from_numpy(pixels)])

    @torch.inference_mode()
    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        return self._embed(torch.tensor([list(ids)], dtype=torch.long))[0].numpy()

    def empty_cache(self) -> Cache:
        raise NotImplementedError

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        raise NotImplementedError


def causal(length: int) -> tuple[Tensor, Tensor]:
    """Positions [L] and mask [L, L] of plain text."""
    positions = torch.arange(length)
    return positions, positions[None] <= positions[:, None]


@torch.inference_mode()
def sweep(
    model: Llava,
    embeds: Sequence[Tensor],
    layouts: Sequence[tuple[Tensor, Tensor]],
    watch: Callable[[int, Tensor, Tensor], None] = lambda layer, key, value: None,
) -> list[Tensor]:
    """Hidden states [L, D] before the head of sequences embeds [L, D] with their positions int64 [L] and masks bool
    [L, L]. watch is given each layer's keys and values [1, KV, L, head_dim] of each sequence. Uses `model` up, but for
    its head."""
    backbone, text = model.language_model.model, model.config.text
    forget(model.vision_tower, model.multi_modal_projector)
    hidden = [x[None] for x in embeds]
    # Minutes a layer of a 7B: a terminal sees how far it is.
    for number, layer in enumerate(tqdm(backbone.layers, "layers", leave=False, disable=None)):
        assert isinstance(layer, Layer)
        widen(layer)
        for k, (positions, mask) in enumerate(layouts):
            cos, sin = rotary(positions, text.head_dim, text.rope_theta)
            hidden[k], key, value = layer(hidden[k], cos, sin, mask, None)
            watch(number, key, value)
        forget(layer)
        release_mapped()
    widen(backbone.norm)
    return [backbone.norm(x)[0] for x in hidden]
