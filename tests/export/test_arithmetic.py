"""What runtimes round, found on single operators: torch that rounds so agrees with them to float32's last bits."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export.certificate.arithmetic import Activations, Arithmetic
from export.certificate.rounding import by_token, in_blocks, rounding
from quantize.integers import IntWeight, dequantize
from quantize.layers import IntLinear, quantized
from quantize.scheme import Scheme

IN, OUT = 256, 64


def linear(bits: int, group: int | None) -> IntLinear:
    torch.manual_seed(0)
    layer = quantized(nn.Linear(IN, OUT), Scheme(bits, group, True))
    assert isinstance(layer, IntLinear)
    return layer


def off(got: np.ndarray, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> float:
    want = (x.double() @ weight.double().T + (0 if bias is None else bias.double())).numpy()
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def matmul_nbits(layer: IntLinear, x: torch.Tensor) -> np.ndarray:
    """ONNX Runtime's operator alone, with int8 accumulation."""
    from export.targets.onnx.nbits import INT8, MatMulNBits

    made = MatMulNBits(layer, INT8)
    node = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", **made.attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, IN])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, OUT])],
        [numpy_helper.from_array(made.packed.numpy(), "b"), numpy_helper.from_array(made.scale.float().numpy(), "s")],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return np.asarray(ort.InferenceSession(model.SerializeToString()).run(None, {"x": x.numpy()})[0])


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 128), (8, 32), (8, None)])
@pytest.mark.parametrize("rows", [1, 17])
def test_onnx_runtime_rounds_in_the_blocks_of_the_weight(bits: int, group: int | None, rows: int) -> None:
    layer, x = linear(bits, group), torch.randn(rows, IN) * 3 + 0.5
    x[0, :32] = 0.0  # a block without a scale
    rounded = rounding(Arithmetic(Activations.INT8_BLOCKS), layer)(x)
    got = matmul_nbits(layer, x)
    assert off(got, rounded, layer.float_weight) < 2e-6
    assert off(got, x, layer.float_weight) > 1e-3
    wrong = 64 if (group or 128) != 64 else 32
    assert off(got, in_blocks(x, wrong), layer.float_weight) > 1e-3


class One(nn.Module):
    """A model of one layer, whose layer use_intx can replace."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.mark.parametrize(("bits", "group"), [(4, 32), (8, None)])
def test_xnnpack_rounds_each_token_and_the_scales_of_groups(bits: int, group: int | None) -> None:
    pytest.importorskip("executorch")
    from executorch.runtime import Runtime

    from export.targets.executorch.delegate import usable
    from export.targets.executorch.intx import use_intx
    from export.targets.executorch.program import _lower

    layer = linear(bits, group)
    weight, bias, integers = layer.float_weight, layer.bias, layer.int_weight
    scales = integers.scales.bfloat16() if bits == 4 else integers.scales
    kept = dequantize(IntWeight(integers.codes, scales, None, bits))
    model = One(layer)
    use_intx(model, quantize_activations=True)
    draws = [torch.randn(1, 9, IN) * spread + shift for spread, shift in ((1, 0), (3, 2), (1, -9))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program, _ = _lower({"forward": torch.export.export(model.eval(), (draws[0],))}, {}, usable("xnnpack"), "")
    method = Runtime.get().load_program(program.buffer).load_method("forward")
    for x in draws:
        got = method.execute([x])[0].numpy()
        assert off(got, by_token(x), kept, bias) < 2e-6
        assert off(got, x, weight, bias) > 1e-3


def test_a_token_of_zeros_stays_one() -> None:
    zeros = torch.zeros(2, 64)
    assert not by_token(zeros).any()
    assert not in_blocks(zeros, 32).any()


def test_float_products_stay_what_they_are() -> None:
    x = torch.randn(3, IN)
    assert rounding(Arithmetic(), linear(4, 32))(x) is x
