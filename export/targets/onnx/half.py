"""float16 on disk, float32 at work: halves an ONNX file without changing one result.

Our checkpoints hold float16, so a float32 initializer of an exported graph usually has a float16 twin with the very
same value. It is stored as that twin and a Cast, which ONNX Runtime folds away when it loads the graph.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx_ir as ir

# Below this a Cast node costs more bytes and time than it saves.
_MIN_ELEMENTS = 256


def store_as_half(graph: ir.Graph) -> int:
    """Change `graph` in place; return how many initializers were stored as float16. Inexact ones stay as they are."""
    changed = 0
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _MIN_ELEMENTS:
            continue
        if any(node.op_type == "DequantizeLinear" for node in value.consumers()):
            continue  # its scale is a constant to every compiler, or it is not recognised
        exact = tensor.numpy()
        with np.errstate(over="ignore"):
            half = exact.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), exact):
            continue
        half_name = f"{name}_f16"
        stored = ir.Value(
            name=half_name,
            const_value=ir.LazyTensor(
                partial(_half_of, tensor, half_name), ir.DataType.FLOAT16, ir.Shape(half.shape), name=half_name
            ),
            shape=value.shape,
            type=ir.TensorType(ir.DataType.FLOAT16),
        )
        cast = ir.node("Cast", [stored], {"to": int(ir.DataType.FLOAT)}, num_outputs=1)
        cast.outputs[0].type, cast.outputs[0].shape = value.type, value.shape
        value.replace_all_uses_with(cast.outputs[0])
        del graph.initializers[name]
        cast.outputs[0].name = name
        graph.initializers[half_name] = stored
        graph.insert_before(graph[0], cast)
        changed += 1
    return changed


def _half_of(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    """Made when it is written, so that no second copy of the weights is held."""
    return ir.tensor(tensor.numpy().astype(np.float16), name=name)
