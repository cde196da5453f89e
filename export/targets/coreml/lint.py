"""What is known to break on Apple devices although it converts without a word; looked for before conversion."""

from __future__ import annotations

import torch

from edge_runtime.errors import UserError
from pulse.model.config import Config

# The Neural Engine refuses states whose last dimension is no multiple of this:
# https://github.com/apple/coremltools/issues/2631
ALIGNMENT = 32
# Positions from which on iOS GPUs have answered from corrupt states, silently; 1,024 is known to be right:
# https://github.com/apple/coreai-models/issues/124
GPU_POSITIONS = 2048
# 4-bit look-up tables written by coremltools 9 crash or answer wrongly: https://github.com/apple/coremltools/issues/2716
PALETTES = ("nf4",)
_VIEWS = {"view", "reshape", "_unsafe_view", "unflatten", "flatten"}
_TRANSPOSES = {"transpose", "permute", "t", "movedim", "swapaxes"}
# Where the way back from a state ends: what comes out of these is a tensor of its own.
_ARITHMETIC = {"linear", "int_linear", "matmul", "mm", "bmm", "addmm", "convolution", "scaled_dot_product_attention"}


def warnings(config: Config) -> list[str]:
    """What works only on some of a device's processors, one line each; for the manifest."""
    text, found = config.text, []
    if text.head_dim % ALIGNMENT:
        found.append(
            f"the states' last dimension is {text.head_dim}, not a multiple of {ALIGNMENT}: the Neural Engine fails on "
            "it, so load the decoder for CPU and GPU (coremltools#2631)"
        )
    if text.max_position_embeddings >= GPU_POSITIONS:
        found.append(
            f"the states hold {text.max_position_embeddings} positions: iOS GPUs have given corrupt answers from "
            f"{GPU_POSITIONS} on, so load the decoder for CPU and Neural Engine (coreai-models#124)"
        )
    return found


def check_weights(weights: str) -> None:
    """Raises UserError for weights that would become 4-bit look-up tables."""
    if weights in PALETTES:
        raise UserError(
            f"--weights {weights} would become 4-bit look-up tables; devices crash or answer wrongly on those that "
            "coremltools 9 writes (coremltools#2716); use --weights int4"
        )


def check_program(program: torch.export.ExportedProgram) -> None:
    """Raises UserError when a state is written from a view that was transposed (coremltools#2275, #2278).

    Such a package converts, and then does not load: "MIL program input 'key_0' not found in Core ML model inputs".
    program: after run_decompositions, so that writing a state shows as an output.
    """
    nodes = {node.name: node for node in program.graph.nodes}
    for output, state in program.graph_signature.buffers_to_mutate.items():
        pending, seen = [nodes[output]], set()
        while pending:
            node = pending.pop()
            if node in seen or _name(node) in _ARITHMETIC:
                continue
            seen.add(node)
            if _name(node) in _TRANSPOSES and _name(node.all_input_nodes[0]) in _VIEWS:
                raise UserError(
                    f"the state {state} is written from a view that was transposed, and devices do not load such a "
                    "package (coremltools#2278); split and stack the heads instead, as "
                    "export/targets/coreml/decoder.py does"
                )
            pending += node.all_input_nodes


def _name(node: torch.fx.Node) -> str:
    """The operator without namespace and overload: "view" for aten.view.default; "" for what is no operator."""
    return node.target._schema.name.split("::")[1] if isinstance(node.target, torch._ops.OpOverload) else ""
