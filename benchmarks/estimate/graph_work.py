"""How much work an exported graph is: operations and bytes of one run, counted from its nodes and their shapes.

Counted are the products (convolutions, matrix products, attention), 2 operations a multiply-add; the weights that a run
reads; and each node's output written once and read once. What follows from weights alone the runtime computes when it
loads the graph: a weight cast to float32 is read as that, but 4-bit ones are read as they are stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import helper

from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError

_PRODUCTS = ("Conv", "MatMulNBits", "MatMul", "Gemm", "GroupQueryAttention")


@dataclass(frozen=True)
class Work:
    """Of one run of a graph. nodes: operators started, each of which costs some time whatever its size."""

    flops: float
    bytes: float
    nodes: int


def phases(bundle: Bundle, tiles: int, prompt: int, context: int) -> dict[str, Work]:
    """vision (all tiles of a page), prefill (`prompt` positions) and decode (one token after `context` positions).

    Raises UserError when the bundle is not for ONNX Runtime, or its graphs do not tell their shapes.
    """
    if bundle.manifest.target != "onnx":
        raise UserError(
            f"{bundle.folder}: its target is {bundle.manifest.target}; work is counted in onnx graphs, give such a one"
        )
    decoder = bundle.path("decoder")
    return {
        "vision": graph_work(bundle.path("vision"), {"pixels": tiles}, 0),
        "prefill": graph_work(decoder, {"embeds": prompt, "past": 0}, prompt),
        "decode": graph_work(decoder, {"embeds": 1, "past": context - 1}, context),
    }


def graph_work(path: Path, sizes: Mapping[str, int], context: int) -> Work:
    """Work of one run. sizes: what the dynamic dimension of an input (or of all inputs called past_...) is.

    context: positions that attention looks back at. Raises UserError for a dimension that follows from none of these.
    """
    graph = _concrete(path, sizes)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    shapes: dict[str, list[int]] = {name: list(tensor.dims) for name, tensor in stored.items()}
    types: dict[str, int] = {name: tensor.data_type for name, tensor in stored.items()}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if all(dim.HasField("dim_value") for dim in kind.shape.dim):
            shapes[value.name] = [dim.dim_value for dim in kind.shape.dim]
        types[value.name] = kind.elem_type

    def size(name: str) -> float:
        return prod(shapes.get(name, [])) * _width(types[name])

    # Weights, and what follows from them alone: the name of each, and the bytes that reading it takes.
    constant = {name: size(name) for name in stored}
    moved, flops, nodes, read = 0.0, 0.0, 0, set()
    for node in graph.node:
        given, made = [name for name in node.input if name], [name for name in node.output if name in types]
        if node.op_type == "Constant" or (given and all(name in constant for name in given)):
            packed = sum(constant[name] for name in given)
            constant |= {name: packed if node.op_type == "DequantizeLinear" else size(name) for name in made}
            continue
        nodes += 1
        read |= {name for name in given if name in constant}
        try:
            flops += _flops(node, shapes, context)
        except KeyError as name:
            raise UserError(f"{path}: the shape of {name} does not follow from its inputs; export it again") from None
        if node.op_type == "GroupQueryAttention":  # past and present are one memory, of which it reads `context` rows
            moved += 2 * shapes[node.input[3]][1] * context * shapes[node.input[3]][3] * _width(types[node.input[3]])
            made = made[:1]
        moved += 2 * sum(size(name) for name in made)
    return Work(flops, moved + sum(constant[name] for name in read), nodes)


def _flops(node: onnx.NodeProto, shapes: Mapping[str, list[int]], context: int) -> float:
    """Operations of a product; 0 for every other operator. Raises KeyError for a shape that is not known."""
    if node.op_type not in _PRODUCTS:
        return 0.0
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    given, out = [shapes[name] for name in node.input[:2]], shapes[node.output[0]]
    if node.op_type == "Conv":
        return 2.0 * prod(out) * prod(given[1][1:])
    if node.op_type == "MatMulNBits":
        return 2.0 * prod(given[0][:-1]) * attributes["K"] * attributes["N"]
    if node.op_type == "MatMul":
        return 2.0 * prod(out) * given[0][-1]
    if node.op_type == "Gemm":
        return 2.0 * prod(out) * given[0][0 if attributes.get("transA") else 1]
    return 4.0 * prod(given[0]) * context  # attention: every query's features with each position, and the mixture


def _concrete(path: Path, sizes: Mapping[str, int]) -> onnx.GraphProto:
    """The graph with numbers in the place of dynamic dimensions, and the shapes that follow from them."""
    model = onnx.load(str(path), load_external_data=False)
    graph = model.graph
    symbols: dict[str, int] = {}
    for value in graph.input:
        size = sizes.get("past" if value.name.startswith("past_") else value.name)
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and size is not None:
                symbols[dim.dim_param] = size
    for value in (*graph.input, *graph.value_info, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and (size := _size(dim.dim_param, symbols)) is not None:
                dim.dim_value = size
    return onnx.shape_inference.infer_shapes(model, data_prop=True).graph


def _size(name: str, symbols: Mapping[str, int]) -> int | None:
    """A dimension by its name, which may be a sum of products, as in "s15 + 2*s65"; None when a part is not known."""
    total = 0
    for term in name.split("+"):
        factors = [symbols.get(word, int(word) if word.isdigit() else None) for word in map(str.strip, term.split("*"))]
        if None in factors:
            return None
        total += prod(factor for factor in factors if factor is not None)
    return total


def _width(element: int) -> float:
    """Bytes of an element; 4-bit ones are packed."""
    if element in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return 0.5
    return float(helper.tensor_dtype_to_np_dtype(element).itemsize)
