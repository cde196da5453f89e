"""How much of a program a delegate took: operations and multiply-accumulates (MACs), by method.

What stays outside runs in ExecuTorch's portable kernels, one thread and no tricks, so this says where time will go;
attention is the exception (export.targets.executorch.decoder), with a fast kernel of its own.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

from export.targets.executorch.report import Share


def share(program: Any) -> Share:
    """Count an ExportedProgram that to_edge_transform_and_lower returned.

    How weights and activations are stored (quantize, dequantize, choose_qparams), tuple access and shape arithmetic
    are not counted as operations.
    """
    outside, inside = [], []
    for node in program.graph.nodes:
        if node.op == "get_attr":
            lowered = getattr(program.graph_module, node.target)
            inside += list(_operations(lowered.original_module.graph))
    outside = list(_operations(program.graph))
    ops, macs = len(inside), sum(map(_macs, inside))
    return Share(ops + len(outside), ops, macs + sum(map(_macs, outside)), macs)


def _operations(graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        name = _name(node)
        if node.op != "call_function" or node.target is operator.getitem or not name:
            continue
        if not any(part in name for part in ("quantize", "choose_qparams", "sym_", "executorch_call_delegate")):
            yield node


def _name(node: fx.Node) -> str:
    """Such as "aten.linear.default"; empty for plain Python functions, which compute shapes."""
    target = node.target
    if isinstance(target, torch._ops.HigherOrderOperator):
        return target.name()
    schema = getattr(target, "_schema", None)
    return schema.name.replace("::", ".") if schema is not None else ""


def _macs(node: fx.Node) -> int:
    name = _name(node).rsplit(".", 1)[-1]
    if name in ("convolution", "conv2d"):  # Core ML takes it before it is decomposed
        weight = _shape(node.args[1])
        return math.prod(_shape(node)) * math.prod(weight[1:])
    if name == "custom_sdpa":  # scores and their sum, over the whole cache
        return 2 * math.prod(_shape(node)) * _shape(node.args[1])[1]
    # The inner dimension is the last one of the left operand.
    left = {"linear": 0, "mm": 0, "bmm": 0, "matmul": 0, "addmm": 1}.get(name)
    return 0 if left is None else math.prod(_shape(node)) * _shape(node.args[left])[-1]


def _shape(node: Any) -> list[int]:
    """Sizes with the traced example's value for a dynamic length."""
    return [size if isinstance(size, int) else size.node.hint for size in node.meta["val"].shape]
