"""Partial windows of average pools as padding that does not count.

ceil_mode lets the last window reach out of the picture. Qualcomm's Hexagon backend answers zeros or garbage for such a
window without an error (seen on QNN 2.51's simulator, in float16 too); the same pool with the missing columns written
as padding is right there, and gives the same numbers everywhere else.
"""

from __future__ import annotations

import onnx_ir as ir


def pad_partial_windows(graph: ir.Graph) -> int:
    """Change `graph` in place; return how many pools were changed. Those of unknown height or width, and those that
    count their padding, stay as they are."""
    changed = 0
    for node in graph.all_nodes():
        if node.op_type != "AveragePool" or not node.attributes.get_int("ceil_mode", 0):
            continue
        shape = node.inputs[0].shape if node.inputs[0] is not None else None
        sizes = [size for size in (shape or [])[2:] if isinstance(size, int)]
        kernel = node.attributes.get_ints("kernel_shape")
        if len(sizes) != len(kernel):
            continue
        if node.attributes.get_int("count_include_pad", 0):
            continue
        steps = node.attributes.get_ints("strides", [1] * len(kernel))
        pads = list(node.attributes.get_ints("pads", [0] * 2 * len(kernel)))
        for axis, (size, window, step) in enumerate(zip(sizes, kernel, steps, strict=True)):
            inside = size + pads[axis] + pads[axis + len(kernel)]
            pads[axis + len(kernel)] += max(0, -(-(inside - window) // step) * step + window - inside)
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
        del node.attributes["ceil_mode"]
        changed += 1
    return changed
