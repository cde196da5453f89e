"""What an export will take of memory, before it begins: sizes of the parts, by rules that were measured."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pulse.model.config import Config
from pulse.model.llava import Llava
from quantize.memory import BASE, available
from quantize.precision import Precision

_MARGIN = 0.8  # of what is available now: other programs want some of it


def graphs_bytes(config: Config, weights: str) -> int:
    """Peak while graphs are written: what is float on this way, and twice the largest of it while it is stored.

    Measured on checkpoints of PULSE-7B's width with 2 layers. Integers stay in the mapped file and are given back as
    they are written.
    """
    floats = [4 * tensor.numel() for tensor in _floats(config, weights)]
    return BASE + sum(floats) + 2 * max(floats)


def certificate_bytes(config: Config, weights: str) -> int:
    """Peak of a certificate: both sides hold all weights, and the reference copies its keys and values at each step."""
    text = config.text
    with torch.device("meta"):
        elements = sum(parameter.numel() for parameter in Llava(config).parameters())
    floats = sum(4 * tensor.numel() for tensor in _floats(config, weights))
    whole = floats + (elements - floats // 4) * {"int4": 5, "nf4": 5, "int8": 8}.get(weights, 32) // 8
    positions = text.max_position_embeddings
    cache = 8 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * positions
    return BASE + 2 * whole + 3 * cache


def room(limit: int | None) -> int | None:
    """Bytes that a stage may take: the user's limit, or most of what this machine has now; None: nobody knows."""
    free = available()
    return limit if limit is not None else None if free is None else int(_MARGIN * free)


def _floats(config: Config, weights: str) -> Iterable[Tensor]:
    """The tensors that are not integers when the model is loaded."""
    with torch.device("meta"):
        state = Llava(config).state_dict()
    precision = None if weights in ("float16", "float32") else Precision("int4-g32" if weights == "int4" else weights)
    return [t for name, t in state.items() if precision is None or precision.of(name, t) is None]
