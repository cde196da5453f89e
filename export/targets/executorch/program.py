"""Target "executorch": a model as one .pte program that ExecuTorch's stock multimodal runners load.

Methods, inputs and metadata follow the runner's C++ (extension/llm/runner of pytorch/executorch, 1.5): vision_encoder
on one picture, token_embedding on token ids, text_decoder on embeddings and their positions, with the KV cache as
mutable buffers inside the program. Preprocessing is the caller's: pixels come in as the bundle's manifest says.

Weights: 4-bit layers keep the checkpoint's integers. XNNPACK stores their scales as bfloat16 and rounds activations to
8 bits a token as it goes ("8da4w"); Core ML takes the integers alone. The token table is float16 unless float32 was
asked for; all other weights are float32, which is what these delegates compute with.
"""

from __future__ import annotations

import logging
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_runtime.errors import UserError
from export.graph.parts import EmbedGraph, VisionGraph, layer_chunks, widen
from export.graph.stateful import StatefulDecoder
from export.targets.executorch import DEFAULT, PROGRAM_BYTES
from export.targets.executorch.decoder import CachedDecoder
from export.targets.executorch.delegate import DELEGATES, Delegate, usable
from export.targets.executorch.delegation import share
from export.targets.executorch.intx import use_intx
from export.targets.executorch.report import DELEGATION, Share, write_shares
from pulse.files.memory import in_child
from pulse.model.config import Config, Decoder
from pulse.model.llava import Llava

Programs = dict[str, torch.export.ExportedProgram]
PROGRAM = "model.pte"
# The most positions one call takes: memory is planned for them, and a 7B's for its whole context would be gigabytes.
# One tile of LLaVA's, 576 tokens, fits.
STEP = 1024
_TABLE = "language_model.model.embed_tokens"
# Traced length: neither 0 nor 1, which torch.export takes for constants.
_EXAMPLE = 8


def write_graphs(
    model: Llava,
    config: Config,
    weights: str,
    folder: Path,
    delegate: str = DEFAULT,
    program_bytes: int = PROGRAM_BYTES,
) -> dict[str, str]:
    """Write model.pte and delegation.json into `folder`; returns the manifest's artifacts.

    A decoder of more than `program_bytes` becomes decoder_0.pte, decoder_1.pte ... by layers, which stock runners do
    not load: lowering copies a program's weights several times, and this bounds what it copies.

    One picture and one conversation at a time: pixels [1, C, H, W] and batch 1. A call of token_embedding or
    text_decoder takes up to get_max_seq_len positions. Uses `model` up. Raises UserError as
    delegate.usable does, and when the delegate cannot lower the model.
    """
    chosen, text = usable(delegate), config.text
    language = model.language_model
    quantize_activations = chosen.quantize_activations

    def lower(programs: Programs, constants: dict[str, Any], file: str) -> dict[str, Share]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data, found = _lower(programs, constants, chosen, delegate)
        with (folder / file).open("wb") as out:
            data.write_to_file(out)
        return found

    def inputs() -> Programs:
        use_intx(model, quantize_activations, ("vision_tower", "multi_modal_projector", _TABLE))
        widen(model.vision_tower, model.multi_modal_projector)
        return _trace_inputs(model, config, weights)

    def decoder(layers: range) -> Programs:
        parts: list[nn.Module] = [language.model.layers[i] for i in layers]
        own = [f"language_model.model.layers.{i}." for i in layers]
        if layers.stop == text.num_hidden_layers:
            parts += [language.model.norm, language.lm_head]
            own.append("language_model.lm_head")
        # Codes take a byte each from here on, so only those of this program are unpacked.
        use_intx(model, quantize_activations, tuple(own))
        widen(*parts)
        return {"text_decoder": _trace_decoder(model, text, layers, chosen)}

    chunks = layer_chunks(text, weights, program_bytes)
    with torch.no_grad():
        if len(chunks) == 1:
            shares = lower({**inputs(), **decoder(chunks[0])}, _metadata(config, chosen), PROGRAM)
            return _artifacts(folder, shares, delegate, [])
        files = [f"decoder_{i}.pte" for i in range(len(chunks))]
        # Lowering leaves its programs in caches, so each is lowered in a process of its own.
        shares = in_child(lambda: lower(inputs(), _metadata(config, chosen), PROGRAM))
        for layers, file in zip(chunks, files, strict=True):
            found = in_child(partial(lambda layers, file: lower(decoder(layers), {}, file), layers, file))
            shares |= {f"{method} of {file}": value for method, value in found.items()}
    return _artifacts(folder, shares, delegate, files)


def _artifacts(folder: Path, shares: dict[str, Share], delegate: str, decoders: list[str]) -> dict[str, str]:
    write_shares(folder, delegate, DELEGATES.load(delegate).backend, shares)
    parts = {f"decoder_{i}": file for i, file in enumerate(decoders)}
    return {"program": PROGRAM, **parts, "delegation": DELEGATION}


def _trace_inputs(model: Llava, config: Config, weights: str) -> Programs:
    """vision_encoder and token_embedding."""
    vision, text = config.vision, config.text
    embed = EmbedGraph(model)
    if weights != "float32" and isinstance(embed.table, torch.nn.Embedding):
        # Its own copy: a decoder that shares the table with its head keeps it in float32.
        embed.table = torch.nn.Embedding.from_pretrained(embed.table.weight.half(), freeze=True)
    ids = torch.export.Dim("ids", min=1, max=min(STEP, text.max_position_embeddings))
    pixels = torch.zeros(1, vision.in_channels, vision.height, vision.width)
    return {
        "vision_encoder": torch.export.export(VisionGraph(model).eval(), (pixels,)),
        "token_embedding": torch.export.export(
            embed.eval(), (torch.zeros(1, _EXAMPLE, dtype=torch.long),), dynamic_shapes=({1: ids},)
        ),
    }


def _trace_decoder(model: Llava, text: Decoder, layers: range, chosen: Delegate) -> torch.export.ExportedProgram:
    length = text.max_position_embeddings
    decoder = CachedDecoder if chosen.own_attention else StatefulDecoder
    positions = torch.export.Dim("positions", min=1, max=min(STEP, length))
    return torch.export.export(
        decoder(model.language_model, length, layers).eval(),
        (torch.zeros(1, _EXAMPLE, text.hidden_size), torch.arange(_EXAMPLE)),
        dynamic_shapes=({1: positions}, {0: positions}),
    )


def _metadata(config: Config, chosen: Delegate) -> dict[str, Any]:
    """The runner's constant methods; names from extension/llm/runner/constants.h."""
    length, model = config.text.max_position_embeddings, config.inference.model
    constants = {
        "get_max_seq_len": min(STEP, length),
        "get_max_context_len": length,
        "get_vocab_size": config.text.vocab_size,
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": chosen.own_attention,
        "enable_dynamic_shape": True,
        "get_eos_ids": list(model.eos_token_ids),
    }
    if model.bos_token_id is not None:
        constants["get_bos_id"] = model.bos_token_id
    return constants


def _lower(programs: Programs, constants: dict[str, Any], chosen: Delegate, name: str) -> tuple[Any, dict[str, Share]]:
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    logging.getLogger("executorch").setLevel(logging.ERROR)
    try:
        edge = to_edge_transform_and_lower(
            programs, partitioner={method: [chosen.partitioner()] for method in programs}, constant_methods=constants
        )
    except Exception as error:  # a delegate's compiler may raise anything
        reason = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"delegate {name} cannot lower this model ({type(error).__name__}: {reason}); use --delegate xnnpack"
        ) from error
    shares = {method: share(edge.exported_program(method)) for method in programs}
    # Inputs are the caller's own memory; outputs are planned, since the C++ runner hands in none. Caches lie in an
    # arena of their own: loaders that give all methods one memory let the others write over the first.
    planning = MemoryPlanningPass(alloc_graph_input=False, share_mutable_buffers=True)
    # In place: without it every call copies each layer's whole cache twice.
    config = ExecutorchBackendConfig(memory_planning_pass=planning, run_reinplace_pass=True)
    return edge.to_executorch(config), shares
