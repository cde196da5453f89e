"""Operators that are known to be wrong on a chip are named, with the place where that is told; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Bundle
from export.faults import faults_of, known_faults


def graph(*nodes: onnx.NodeProto, **constants: np.ndarray) -> onnx.GraphProto:
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), "g", [x], [y], tensors)


@pytest.mark.parametrize(("ceil_mode", "count"), [(0, 0), (1, 2)])
def test_partial_windows_are_named(ceil_mode: int, count: int) -> None:
    pool = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[3, 3], ceil_mode=ceil_mode)
    found = faults_of(graph(pool))
    assert len(found) == count
    assert all("pad the input" in line for line in found)


@pytest.mark.parametrize(("kind", "count"), [(np.uint8, 1), (np.uint16, 0)])
def test_activations_of_8_bits_are_named(kind: type[np.generic], count: int) -> None:
    rounded = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    found = faults_of(graph(rounded, scale=np.float32(0.1).reshape(()), zero=np.zeros((), kind)))
    assert ["session.x64quantprecision" in line for line in found] == [True] * count


def test_what_the_exporter_writes_has_none(bundle: Path) -> None:
    assert known_faults(Bundle.read(bundle)) == []
