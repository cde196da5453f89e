"""Activations of 16 bits around a graph's integer products, as QuantizeLinear and DequantizeLinear nodes.

That is how Hexagon's compiler is told that a product is one of integers; without them it refuses 4-bit blocks and
leaves the product to the CPU. A value that a product reads is rounded for everything that reads it, so that what stands
between two products needs no float either.
https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from export.targets.qnn.ranges import HEADROOM, Range, Ranges

LEVELS = 65535
_PRODUCTS = ("Conv", "MatMul", "Gemm")


def round_activations(graph: ir.Graph, ranges: Ranges) -> int:
    """Change `graph` in place: what integer products read and make is rounded to 16 bits within `ranges`, a
    convolution's bias to 32 bits. Returns how many products there are. Raises KeyError for one without a range."""
    products = [node for node in graph.all_nodes() if _layer(node)]
    rounded: dict[ir.Value, ir.Value] = {}
    for node in products:
        name, given, made = _layer(node), node.inputs[0], node.outputs[0]
        assert given is not None
        if given not in rounded:
            rounded[given] = _rounded(graph, given, ranges.inputs[name])
        if made not in rounded:
            rounded[made] = _rounded(graph, made, ranges.outputs[name])
        if node.op_type == "Conv" and len(node.inputs) > 2 and node.inputs[2] is not None:
            _round_bias(graph, node, ranges.inputs[name])
    return len(products)


def scale_and_zero(found: Range) -> tuple[np.float32, np.uint16]:
    """Of 16-bit integers that hold the range, with headroom."""
    least, most = found.least * HEADROOM, found.most * HEADROOM
    scale = np.float32(max(most - least, 1e-6) / LEVELS)
    return scale, np.uint16(min(LEVELS, max(0, round(-least / float(scale)))))


def _layer(node: ir.Node) -> str:
    """The name of the layer whose integers a product multiplies with; "" for any other node."""
    if node.op_type not in _PRODUCTS or node.inputs[1] is None:
        return ""
    made_by = node.inputs[1].producer()
    if made_by is None or made_by.op_type != "DequantizeLinear":
        return ""
    codes = made_by.inputs[0]
    return "" if codes is None or codes.name is None or codes.const_value is None else codes.name.split(".weight.")[0]


def _rounded(graph: ir.Graph, value: ir.Value, found: Range) -> ir.Value:
    """`value`, rounded, for all that read it."""
    users = list(value.uses())
    scale, zero = (_constant(graph, f"{value.name}.{kind}", number) for kind, number in _named(found))
    to = ir.node("QuantizeLinear", [value, scale, zero], num_outputs=1)
    back = ir.node("DequantizeLinear", [to.outputs[0], scale, zero], num_outputs=1)
    to.outputs[0].name, back.outputs[0].name = f"{value.name}.quantized", f"{value.name}.rounded"
    to.outputs[0].type, to.outputs[0].shape = ir.TensorType(ir.DataType.UINT16), value.shape
    back.outputs[0].type, back.outputs[0].shape = value.type, value.shape
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], [to, back])
    else:
        graph.insert_after(producer, [to, back])
    for user, index in users:
        user.replace_input_with(index, back.outputs[0])
    return back.outputs[0]


def _named(found: Range) -> tuple[tuple[str, np.generic], ...]:
    scale, zero = scale_and_zero(found)
    return ("scale", scale), ("zero_point", zero)


def _round_bias(graph: ir.Graph, conv: ir.Node, found: Range) -> None:
    """The bias as 32-bit integers of the scale that the products are in, which is what the kernel adds them to."""
    weight, bias = conv.inputs[1], conv.inputs[2]
    assert weight is not None
    assert bias is not None
    dequantize = weight.producer()
    assert dequantize is not None
    scales = dequantize.inputs[1]
    assert scales is not None
    assert scales.const_value is not None
    assert bias.const_value is not None
    scale = scales.const_value.numpy().astype(np.float64).reshape(-1) * float(scale_and_zero(found)[0])
    codes = np.clip(np.round(bias.const_value.numpy() / scale), -(2**31) + 1, 2**31 - 1).astype(np.int32)
    inputs = [
        _constant(graph, f"{bias.name}.{kind}", array)
        for kind, array in (("codes", codes), ("scale", scale.astype(np.float32)))
    ]
    back = ir.node("DequantizeLinear", inputs, {"axis": 0}, num_outputs=1)
    back.outputs[0].name = f"{bias.name}.rounded"
    back.outputs[0].type, back.outputs[0].shape = bias.type, bias.shape
    graph.insert_before(conv, back)
    conv.replace_input_with(2, back.outputs[0])
    if not bias.uses():
        del graph.initializers[str(bias.name)]


def _constant(graph: ir.Graph, name: str, array: np.ndarray | np.generic) -> ir.Value:
    values = np.asarray(array)
    tensor = ir.tensor(values, name=name)
    value = ir.Value(name=name, const_value=tensor, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype))
    graph.initializers[name] = value
    return value
