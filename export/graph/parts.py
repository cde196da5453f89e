"""A model cut into the three graphs of a bundle, with flat tensors for inputs and outputs.

Every exporter and the float32 reference use these modules, so both sides of a certificate mean the same by a stage.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pulse.files.memory import give_back
from pulse.model.config import Decoder
from pulse.model.llava import Llava

# Bits of a weight, with its share of a float16 scale for 32.
_BITS = {"int4": 4.5, "nf4": 4.5, "int8": 8.0, "float16": 16.0, "float32": 32.0}


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


def widen(*modules: nn.Module) -> None:
    """Turn float16 weights and biases into float32, in place: see quantize.load.load_model. The scales of integers are
    buffers and stay what they are."""
    for module in (inner for outer in modules for inner in outer.modules()):
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.dtype == torch.float16:
                module._parameters[name] = nn.Parameter(parameter.float(), requires_grad=False)
        bias = module._buffers.get("bias")
        if bias is not None:
            module._buffers["bias"] = bias.float()


def forget(*modules: nn.Module) -> None:
    """Give back the memory of modules whose graphs are written; they cannot be used any more."""
    for module in (inner for outer in modules for inner in outer.modules()):
        module._parameters.clear()
        module._buffers.clear()
    give_back()


def layer_chunks(text: Decoder, weights: str, limit: int) -> list[range]:
    """Consecutive layers that are exported together, of at most `limit` bytes of weights where a layer allows it."""
    attention = 2 * text.hidden_size * text.head_dim * (text.num_attention_heads + text.num_key_value_heads)
    layer = (attention + 3 * text.hidden_size * text.intermediate_size) * _BITS[weights] / 8
    head = text.vocab_size * text.hidden_size * (4 if weights == "float32" else 2)
    starts, size = [0], 0.0
    for i in range(text.num_hidden_layers):
        size += layer + (head if i == text.num_hidden_layers - 1 else 0)
        if size > limit and i > starts[-1]:
            starts.append(i)
            size = layer
    return [range(a, b) for a, b in zip(starts, [*starts[1:], text.num_hidden_layers], strict=True)]
