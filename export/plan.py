"""What an export will take of memory, before it begins: sizes of the parts, by rules that were measured."""

from __future__ import annotations

from typing import Any

import torch

from edge_runtime.bundle import Bundle
from export.target import Job, Memory
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.memory import BASE, available
from pulse.model.config import Config
from pulse.model.llava import Llava
from quantize.formats.layout import SCALES, stays_mapped
from quantize.precision import Precision
from quantize.quantization_config import kind_of

_MARGIN = 0.8  # of what is available now: other programs want some of it
_BYTES = {"int4": 0.5, "nf4": 0.5, "int8": 1.0}  # of a weight; its scales come on top
_TRACING = 0.15  # bytes held for each byte of all weights
_WORDS = 256  # positions of a question and its answer


def graphs_bytes(source: Checkpoint, weights: str, memory: Memory) -> int:
    """Peak while graphs are written, on the safe side of what was measured on checkpoints of PULSE-7B's width.

    What is not integers is widened to float32 and copied while it is stored; integers stay in the mapped file, but for
    the layers that a converter holds.
    """
    whole, floats, largest = _sizes(source, weights)
    parts = BASE + int(floats * memory.floats + _TRACING * whole) + 2 * largest + _unmapped(source, whole - floats)
    return max(parts, BASE + int(memory.converting * min(memory.together, whole - floats)))


def certificate_bytes(source: Checkpoint, config: Config, weights: str) -> int:
    """Peak of a certificate: both sides hold all weights, and the reference copies its keys and values at each step."""
    text = config.text
    cache = 8 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * text.max_position_embeddings
    return BASE + 2 * _sizes(source, weights)[0] + 3 * cache


def streamed_bytes(bundle: Bundle, job: Job[Any], memory: Memory) -> int:
    """Peak of a certificate whose sides are in memory one after the other: see export.certificate.streamed."""
    text = job.config.text
    whole, floats, _ = _sizes(job.checkpoint, job.weights)
    # One dequantized weight and the steps on the way to it, beside the vision tower or the head in float32.
    reading = BASE + floats + 32 * text.hidden_size * text.intermediate_size + _unmapped(job.checkpoint, whole - floats)
    return max(running_bytes(bundle, job, memory), reading)


def running_bytes(bundle: Bundle, job: Job[Any], memory: Memory) -> int:
    """What a bundle takes to answer about one page, as it was measured on PULSE-7B's shape."""
    text, spec = job.config.text, bundle.manifest.inference.preprocess
    positions = text.max_position_embeddings
    if not memory.whole_context:
        tiles = 1 + max(((w // spec.width) * (h // spec.height) for w, h in spec.pinpoints), default=0)
        positions = min(positions, tiles * job.config.vision.tokens // spec.pool**2 + _WORDS)
    numbers = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * positions
    files = sum(path.stat().st_size for path in bundle.folder.iterdir())
    return BASE + int(1.15 * files) + numbers * (1 if job.own.int8_cache else 4)


def room(limit: int | None) -> int | None:
    """Bytes that a stage may take: the user's limit, or most of what this machine has now; None: nobody knows."""
    free = available()
    return limit if limit is not None else None if free is None else int(_MARGIN * free)


def _unmapped(source: Checkpoint, integers: int) -> int:
    """Bytes of integers that are laid out anew in memory: others', whose layout is another."""
    return 0 if stays_mapped(source) else integers


def _sizes(source: Checkpoint, weights: str) -> tuple[int, int, int]:
    """Bytes of the loaded model, of what is float32 in it, and of the largest tensor of that."""
    if kind_of(source) == weights:
        floats = [
            4 * tensor.numel()
            for name, tensor in source.tensors()
            if tensor.is_floating_point() and name.rpartition(".")[2] not in SCALES
        ]
    else:
        with torch.device("meta"):
            state = Llava(source.config).state_dict()
        precision = None if weights in ("float16", "float32") else Precision()
        floats = [4 * t.numel() for name, t in state.items() if precision is None or precision.of(name, t) is None]
    with torch.device("meta"):
        elements = sum(parameter.numel() for parameter in Llava(source.config).parameters())
    rest = int((elements - sum(floats) // 4) * _BYTES.get(weights, 0) * 1.125)
    return sum(floats) + rest, sum(floats), max(floats)
