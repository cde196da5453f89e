"""A model cut into the three graphs of a bundle, with flat tensors for inputs and outputs.

Every exporter and the float32 reference use these modules, so both sides of a certificate mean the same by a stage.
"""

from __future__ import annotations

from torch import Tensor, nn

from pulse.model.llava import Llava


class VisionGraph(nn.Module):
    """pixels [N, C, H, W] -> features [N, T, D], projector included."""

    def __init__(self, model: Llava) -> None:
        super().__init__()
        self.tower, self.projector = model.vision_tower, model.multi_modal_projector

    def forward(self, pixels: Tensor) -> Tensor:
        return self.projector(self.tower(pixels))


class EmbedGraph(nn.Module):
    """input_ids int64 [B, S] -> embeds [B, S, D]."""

    def __init__(self, model: Llava) -> None:
        super().__init__()
        self.table = model.language_model.model.embed_tokens

    def forward(self, input_ids: Tensor) -> Tensor:
        # A table kept in float16 is widened after the look-up, a few rows, and not as a whole when it is loaded.
        return self.table(input_ids).float()


class DecoderGraph(nn.Module):
    """embeds [B, S, D] after a cache of P positions -> logits [B, V] of the last position, and the cache with both.

    past and the tensors after logits alternate key and value by layer, [B, KV, P, head_dim] and [B, KV, P + S,
    head_dim]. P may be 0.
    """

    def __init__(self, model: Llava) -> None:
        super().__init__()
        self.language_model = model.language_model

    def forward(self, embeds: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        logits, present = self.language_model(embeds, past)
        return (logits, *present)
