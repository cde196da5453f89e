"""Operators that are known to answer wrongly on a chip, without an error, and where that is told.

Every ONNX graph of a bundle is looked through when it is certified; what is found stands among the certificate's
notes. The exporters write around what is listed here, so a note means a graph that came from elsewhere, or a new way to
get one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx
from onnx import NodeProto, TensorProto

from edge_runtime.bundle import Bundle

Types = Mapping[str, int]  # of tensors that a graph names itself: TensorProto's element types


@dataclass(frozen=True)
class Fault:
    """operator, applies(node, types): which nodes. chip: where. says: what happens, and what to do. thread: where it is
    known from."""

    chip: str
    operator: str
    applies: Callable[[NodeProto, Types], bool]
    says: str
    thread: str


def _attribute(node: NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def _partial_windows(node: NodeProto, types: Types) -> bool:
    return _attribute(node, "ceil_mode") != 0


def _eight_bit_activations(node: NodeProto, types: Types) -> bool:
    """An activation's integers are no constant, and their zero point has their type."""
    return len(node.input) > 2 and types.get(node.input[2]) in (TensorProto.UINT8, TensorProto.INT8)


FAULTS = (
    Fault(
        "Hexagon",
        "AveragePool",
        _partial_windows,
        "partial windows (ceil_mode) come out as zeros or garbage; pad the input instead",
        "seen on QNN 2.51's simulator, docs/qnn.md",
    ),
    Fault(
        "ONNX Runtime's CPU",
        "AveragePool",
        _partial_windows,
        "windows that lie outside of the picture (ceil_mode) come out as NaN or 0; pad the input instead",
        "microsoft/onnxruntime#16351",
    ),
    Fault(
        "x86 without VNNI",
        "QuantizeLinear",
        _eight_bit_activations,
        "products of 8-bit activations overflow 16 bits, 25 % off where a chip is 4 %; set session.x64quantprecision",
        "onnxruntime.ai/docs/performance/model-optimizations/quantization.html",
    ),
)


def known_faults(bundle: Bundle) -> list[str]:
    """One line a fault and graph of the bundle."""
    names = sorted(name for name in bundle.manifest.artifacts.values() if name.endswith(".onnx"))
    return [f"{name}: {line}" for name in names for line in faults_of(_graph(bundle, name))]


def faults_of(graph: onnx.GraphProto) -> list[str]:
    """One line a fault that at least one node of the graph has."""
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return [
        f"{fault.operator} on {fault.chip}: {fault.says} ({fault.thread})"
        for fault in FAULTS
        if any(node.op_type == fault.operator and fault.applies(node, types) for node in graph.node)
    ]


def _graph(bundle: Bundle, name: str) -> onnx.GraphProto:
    return onnx.load(bundle.folder / name, load_external_data=False).graph
