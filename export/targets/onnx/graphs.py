"""Target "onnx": a model as three ONNX graphs, vision, embed and decoder, for ONNX Runtime on any CPU.

4-bit layers become com.microsoft.MatMulNBits nodes with the checkpoint's integers, and attention writes into a bound
cache; or, in style "qdq", all is standard operators that other execution providers compile. Everything else computes
in float32, stored as float16 where that is exact and was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from export.graph.parts import DecoderGraph, EmbedGraph, VisionGraph, forget, widen
from export.targets.onnx import STYLES, rounds
from export.targets.onnx.decoder import CachedDecoderGraph
from export.targets.onnx.half import store_as_half
from export.targets.onnx.nbits import EXACT, INT8, use_runtime_operators
from export.targets.onnx.pools import pad_partial_windows
from export.targets.onnx.qdq import OPSET as QDQ_OPSET
from export.targets.onnx.qdq import store_as_int4, use_standard_operators
from pulse.files.memory import release_mapped
from pulse.model.config import Config
from pulse.model.llava import Llava

OPSET = 20
# Larger graphs keep their weights in NAME.onnx.data: a protobuf is held in memory as a whole, and ends at 2 GiB.
EXTERNAL_ABOVE = 1 << 27
_ANY = torch.export.Dim.DYNAMIC


def write_graphs(
    model: Llava,
    config: Config,
    weights: str,
    folder: Path,
    style: str = STYLES[0],
    kv_scales: Sequence[torch.Tensor] = (),
    exact: bool = False,
    external_above: int = EXTERNAL_ABOVE,
) -> dict[str, str]:
    """Write vision.onnx, embed.onnx and decoder.onnx into `folder`; returns the manifest's artifacts.

    weights: "float32" stores float32, anything else float16 where exact. style: one of STYLES. kv_scales: of an int8
    cache (export.graph.kv), for the first style only. exact: see export.targets.onnx.rounds; the second style always
    is. external_above: bytes of weights from which a graph keeps them in a file of their own.
    Uses `model` up. Dynamic are the tiles N, the new positions S (1 or more) and the cache's capacity or,
    in style "qdq", its length. Raises UserError when the weights have no form in that style.
    """
    half, standard = weights != "float32", style == "qdq"
    if standard:
        use_standard_operators(model)
    else:
        use_runtime_operators(model.language_model, INT8 if rounds(config, exact) else EXACT)
        use_runtime_operators(model)
    opset = QDQ_OPSET if standard else OPSET
    write = partial(write_graph, half=half, opset=opset, external_above=external_above)
    vision, text = config.vision, config.text
    widen(model.vision_tower, model.multi_modal_projector)
    pixels = torch.zeros(2, vision.in_channels, vision.height, vision.width)
    write(VisionGraph(model), (pixels,), ["pixels"], ["features"], ({0: _ANY},), folder / "vision.onnx")
    forget(model.vision_tower, model.multi_modal_projector)
    # Traced with sizes that are not 0 or 1, which torch.export would take for constants.
    embeds, last, total = torch.zeros(1, 5, text.hidden_size), torch.zeros(1).int(), torch.tensor(0).int()
    kept = torch.int8 if kv_scales else torch.float32
    shape = (1, text.num_key_value_heads, 7, text.head_dim)
    past = [torch.zeros(shape, dtype=kept) for _ in range(2 * text.num_hidden_layers)]
    names = [f"{kind}_{i}" for i in range(text.num_hidden_layers) for kind in ("key", "value")]
    inputs, outputs = [f"past_{n}" for n in names], ["logits", *(f"present_{n}" for n in names)]
    lengths = tuple({2: _ANY} for _ in past)
    path = folder / "decoder.onnx"
    widen(model.language_model.model.layers, model.language_model.model.norm, model.language_model.lm_head)
    if standard:
        graph: nn.Module = DecoderGraph(model)
        write(graph, (embeds, *past), ["embeds", *inputs], outputs, ({1: _ANY}, lengths), path)
    else:
        graph = CachedDecoderGraph(model, text, kv_scales)
        where = ["embeds", "last", "total"]
        write(graph, (embeds, last, total, *past), [*where, *inputs], outputs, ({1: _ANY}, None, None, lengths), path)
    forget(model.language_model.model.layers, model.language_model.lm_head)
    embed = EmbedGraph(model)
    if half:
        embed.half()
    ids = torch.zeros(2, 5, dtype=torch.long)
    write(embed, (ids,), ["input_ids"], ["embeds"], ({0: _ANY, 1: _ANY},), folder / "embed.onnx", half=False)
    return {name: f"{name}.onnx" for name in ("vision", "embed", "decoder")}


def write_graph(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    shapes: Any,
    path: Path,
    half: bool,
    opset: int = QDQ_OPSET,
    external_above: int = EXTERNAL_ABOVE,
    change: Callable[[ir.Graph], object] = lambda graph: None,
) -> None:
    """One graph as an ONNX file. shapes: which sizes are dynamic, as torch.export has it; None: none. half: float32 is
    stored as float16 where that is exact. change: what else is done to the graph. The rest as in write_graphs."""
    program = torch.onnx.export(
        graph.eval(),
        example,
        dynamo=True,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=shapes,
        opset_version=opset,
        verbose=False,
    )
    assert program is not None  # only the older exporter, which writes a file itself, returns None
    change(program.model.graph)
    if half:
        store_as_half(program.model.graph)
    store_as_int4(program.model.graph)
    pad_partial_windows(program.model.graph)
    _drop_traces(program.model)
    size = sum(v.const_value.nbytes for v in program.model.graph.initializers.values() if v.const_value is not None)
    if size <= external_above:
        program.save(str(path))
        return
    # What has been written need not stay in memory: see pulse.files.memory.
    ir.save(program.model, path, external_data=f"{path.name}.data", callback=lambda tensor, info: release_mapped())


def _drop_traces(model: ir.Model) -> None:
    """Remove the exporter's notes from a model: they hold the building machine's paths and our modules' names, so equal
    graphs would differ by where and when they were made."""
    parts: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for graph in parts:
        graph.metadata_props.clear()
        for node in graph.all_nodes():
            node.metadata_props.clear()
            for value in node.outputs:
                value.metadata_props.clear()
        for value in graph.inputs:
            value.metadata_props.clear()
