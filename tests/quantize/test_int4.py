"""The integers and their layout, held against the reference implementation of the format."""

from __future__ import annotations

import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize as reference_dequantize
from compressed_tensors.quantization.lifecycle.forward import quantize as reference_quantize
from compressed_tensors.quantization.utils import calculate_qparams
from torch import nn

from quantize.int4 import GROUP_SIZES, Int4Linear, dequantize, fits, int4_linear, pack, quantize_int4, unpack


def weight(rows: int = 24, columns: int = 256, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("group", GROUP_SIZES)
def test_codes_scales_and_words_are_those_of_compressed_tensors(group: int) -> None:
    w = weight()
    ours = quantize_int4(w, group)
    args = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=group)
    groups = w.unflatten(1, (-1, group))
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    assert torch.equal(ours.scales, scale.half())
    codes = reference_quantize(w, ours.scales.float(), zero, args, dtype=torch.int8)
    assert torch.equal(ours.codes, codes)
    packed = pack(ours.codes)
    assert packed.dtype == torch.int32
    assert torch.equal(packed, pack_to_int32(codes, 4))
    assert torch.equal(unpack(packed), unpack_from_int32(packed, 4, w.shape))
    assert torch.equal(dequantize(ours), reference_dequantize(codes, ours.scales.float(), zero, args))


def test_error_is_at_most_half_a_step_except_at_the_clipped_end() -> None:
    w = weight()
    q = quantize_int4(w, 32)
    steps = (dequantize(q) - w).abs().unflatten(1, (-1, 32)) / q.scales.float().unsqueeze(-1)
    clipped = q.codes.unflatten(1, (-1, 32)) == 7
    assert steps[~clipped].max() <= 0.5 + 1e-3
    assert steps.max() <= 0.51 + 0.01  # the largest value sits at 7.5 steps and is stored as 7
    assert q.codes.min() == -8 or q.codes.max() == 7


def test_all_zero_group_stays_zero() -> None:
    w = weight()
    w[3, 32:64] = 0
    q = quantize_int4(w, 32)
    assert (dequantize(q)[3, 32:64] == 0).all()
    assert (q.scales > 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_cannot_be_stored_are_refused(value: float) -> None:
    w = weight()
    w[0, 0] = value
    with pytest.raises(ValueError, match="NaN, infinity"):
        quantize_int4(w, 32)


def test_shapes_that_do_not_fit_are_refused_not_padded() -> None:
    assert not fits(weight(4, 40), 32)
    assert not fits(torch.zeros(64), 32)
    with pytest.raises(ValueError, match=r"\[4, 40\]"):
        quantize_int4(weight(4, 40), 32)
    with pytest.raises(ValueError, match="group size 16"):
        quantize_int4(weight(4, 32), 16)
    with pytest.raises(ValueError, match="40 inputs"):
        Int4Linear(40, 4, 32)


@pytest.mark.parametrize("bias", [True, False])
def test_layer_equals_the_dequantized_linear(bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 10, bias=bias)
    layer = Int4Linear.from_linear(linear, 32)
    x = torch.randn(2, 3, 64)
    want = x @ dequantize(quantize_int4(linear.weight, 32)).T + (linear.bias if bias else 0)
    torch.testing.assert_close(layer(x), want)
    torch.testing.assert_close(layer.to_linear()(x), want)
    assert layer(x).abs().max() > 0.1


def test_operator_is_well_formed_for_export() -> None:
    layer = Int4Linear.from_linear(nn.Linear(64, 10), 32)
    checks = ("test_schema", "test_faketensor")
    arguments = (torch.randn(2, 64), layer.weight_packed, layer.weight_scale, layer.bias, 32)
    torch.library.opcheck(int4_linear, arguments, test_utils=checks)


def test_exports_as_one_node_with_dynamic_batch() -> None:
    layer = Int4Linear.from_linear(nn.Linear(64, 10), 32)
    program = torch.export.export(layer, (torch.randn(4, 64),), dynamic_shapes={"x": {0: torch.export.Dim("b")}})
    calls = [n.target for n in program.graph.nodes if n.op == "call_function"]
    assert calls == [torch.ops.pulse.int4_linear.default]
