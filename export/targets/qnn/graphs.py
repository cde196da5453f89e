"""Target "qnn": a model as four ONNX graphs of fixed sizes, for Hexagon, and the token table, for the CPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch

from export.graph.parts import EmbedGraph, VisionGraph, forget, widen
from export.targets.onnx.graphs import write_graph
from export.targets.onnx.qdq import use_standard_operators
from export.targets.qnn.activations import round_activations
from export.targets.qnn.decoder import WindowDecoderGraph
from export.targets.qnn.ranges import Ranges
from pulse.model.config import Config
from pulse.model.llava import Llava

_ANY = torch.export.Dim.DYNAMIC


def write_graphs(
    model: Llava, config: Config, weights: str, folder: Path, ranges: Ranges, chunk: int
) -> dict[str, str]:
    """Write vision.onnx, embed.onnx, prompt.onnx and token.onnx into `folder`; returns the manifest's artifacts.

    ranges: of the integer layers (export.targets.qnn.ranges). chunk: positions that prompt.onnx reads at once. Uses
    `model` up. Raises UserError when the weights have no form in standard operators.
    """
    use_standard_operators(model)
    half = weights != "float32"
    write = partial(write_graph, shapes=None, half=half, change=partial(round_activations, ranges=ranges))
    vision, text, language = config.vision, config.text, model.language_model
    widen(model.vision_tower, model.multi_modal_projector)
    pixels = torch.zeros(1, vision.in_channels, vision.height, vision.width)
    write(VisionGraph(model), (pixels,), ["pixels"], ["features"], path=folder / "vision.onnx")
    forget(model.vision_tower, model.multi_modal_projector)
    widen(language.model.layers, language.model.norm, language.lm_head)
    for name, rows in (("prompt", chunk), ("token", 1)):
        inputs, outputs = _names(text.num_hidden_layers)
        example = _example(config, rows)
        write(WindowDecoderGraph(model, text), example, inputs, outputs, path=folder / f"{name}.onnx")
    forget(language.model.layers, language.lm_head)
    embed = EmbedGraph(model)
    if half:
        embed.half()
    ids = torch.zeros(2, 5, dtype=torch.long)
    shapes = ({0: _ANY, 1: _ANY},)
    write_graph(embed, (ids,), ["input_ids"], ["embeds"], shapes, folder / "embed.onnx", half=False)
    return {name: f"{name}.onnx" for name in ("vision", "embed", "prompt", "token")}


def _names(layers: int) -> tuple[list[str], list[str]]:
    names = [f"{kind}_{i}" for i in range(layers) for kind in ("key", "value")]
    inputs = ["embeds", "positions", "last", "mask", *(f"past_{name}" for name in names)]
    return inputs, ["logits", *(f"new_{name}" for name in names)]


def _example(config: Config, rows: int) -> tuple[torch.Tensor, ...]:
    text, window = config.text, config.text.max_position_embeddings
    past = (1, text.num_key_value_heads, window, text.head_dim)
    return (
        torch.zeros(1, rows, text.hidden_size),
        torch.zeros(rows, dtype=torch.int32),
        torch.zeros(1, dtype=torch.int32),
        torch.zeros(rows, window + rows),
        *(torch.zeros(past) for _ in range(2 * text.num_hidden_layers)),  # one tensor would become one input
    )
