"""What is known to answer wrongly through Core AI without an error; looked for before conversion, or told in notes."""

from __future__ import annotations

from typing import Any

import torch

from edge_runtime.errors import UserError

# On an iPhone 17 Pro (iOS 27.0), with the CPU right: threads that were open in November 2026.
NOTES = (
    "computed in float32 on purpose: an asset in float16 has answered wrongly on an iPhone's Neural Engine without an "
    "error (coreai-torch#115); on the device compare with SpecializationOptions.cpuOnly before you trust the default",
)
_FAULTS = {
    "argmax": "answers wrongly on an iPhone with default options (coreai-torch#116); leave the choice to the host",
    "topk": "has answered wrongly on an iPhone in float16 (coreai-torch#115); leave the choice to the host",
}


def check_program(program: torch.export.ExportedProgram) -> None:
    """Raises UserError for an operator that converts and then answers wrongly. program: after run_decompositions."""
    for node in program.graph.nodes:
        name = _name(node)
        if name in _FAULTS:
            raise UserError(f"Core AI: {name} {_FAULTS[name]}")
        if name == "avg_pool2d" and not _plain(node):
            raise UserError(
                "Core AI: avg_pool2d with padding, ceil_mode or no stride converts wrongly or not at all "
                "(coreai-torch#73); write it as export/targets/coreai/pools.py does"
            )
        half = isinstance(value := node.meta.get("val"), torch.Tensor) and value.dtype == torch.float16
        if half and name in _PRODUCTS:
            raise UserError(
                f"Core AI: {name} in float16 has answered wrongly on an iPhone (coreai-torch#115); widen it"
            )


_PRODUCTS = {"linear", "mm", "bmm", "matmul", "addmm", "convolution", "conv2d", "scaled_dot_product_attention"}


def _plain(node: torch.fx.Node) -> bool:
    """Kernel and stride given, and nothing else that the lowering would drop."""
    stride: Any
    padding: Any
    stride, padding, ceil_mode = ((*node.args[2:], *([], [0, 0], False)[len(node.args) - 2 :]))[:3]
    return bool(stride) and not any(padding) and not ceil_mode


def _name(node: torch.fx.Node) -> str:
    """The operator without namespace and overload; "" for what is no operator."""
    return node.target._schema.name.split("::")[1] if isinstance(node.target, torch._ops.OpOverload) else ""
