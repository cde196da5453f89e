"""The 4-bit node: the checkpoint's integers byte for byte, and the same result as torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from export.targets.onnx.half import store_as_half
from export.targets.onnx.nbits import use_runtime_operators
from quantize.integers import unpack
from quantize.layers import quantized
from quantize.load import quantize_model
from quantize.precision import SCHEMES, Precision
from quantize.scheme import INT4, INT8, Nf4, Scheme


def exported(layer: nn.Module, path: Path, half: bool = False) -> onnx.ModelProto:
    model = nn.Sequential(layer).eval()
    use_runtime_operators(model)
    x = torch.randn(2, 5, layer.in_features)
    shapes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
    program = torch.onnx.export(
        model, (x,), dynamo=True, input_names=["x"], output_names=["y"], dynamic_shapes=shapes, verbose=False
    )
    assert program is not None
    if half:
        assert store_as_half(program.model.graph) > 0
    program.save(str(path))
    return onnx.load(path)


def test_node_holds_the_checkpoints_integers(tmp_path: Path) -> None:
    layer = quantized(nn.Linear(64, 48), INT4)
    graph = exported(layer, tmp_path / "m.onnx").graph
    (node,) = [n for n in graph.node if n.op_type == "MatMulNBits"]
    weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    packed, scale = weights[node.input[1]], weights[node.input[2]]
    # Read by the operator's definition: blocks [N, K/32, 16], low half first, zero point 8.
    codes = np.stack([packed & 0xF, packed >> 4], -1).reshape(48, 64).astype(np.int8) - 8
    assert np.array_equal(codes, unpack(layer.weight_packed, 4).numpy())
    assert np.array_equal(scale, layer.weight_scale.float().numpy())


@pytest.mark.parametrize("scheme", [*SCHEMES.values()], ids=[*SCHEMES])
@pytest.mark.parametrize("bias", [True, False])
def test_runtime_computes_what_torch_does(scheme: Scheme | Nf4, bias: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(384, 48, bias=bias)  # three groups of 128: an odd number of zero points
    model = nn.ModuleDict({"language_model": nn.ModuleDict({"q_proj": linear})})
    quantize_model(model, Precision(next(name for name, own in SCHEMES.items() if own is scheme)))
    layer = model.get_submodule("language_model.q_proj")
    exported(layer, tmp_path / "m.onnx")
    session = ort.InferenceSession(tmp_path / "m.onnx")
    for shape in [(1, 1, 384), (3, 7, 384)]:
        x = torch.randn(shape)
        np.testing.assert_allclose(session.run(None, {"x": x.numpy()})[0], layer(x).numpy(), atol=2e-6, rtol=1e-5)


def test_convolutions_and_token_tables_keep_their_codes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    conv, table = nn.Conv2d(64, 128, 3, 2, 1), nn.Embedding(500, 64)  # smaller ones are folded at export
    for name, layer, given in (
        ("conv", conv, torch.randn(2, 64, 9, 7)),
        ("table", table, torch.tensor([[3, 499, 0], [1, 2, 3]])),
    ):
        ours = quantized(layer, INT8)
        model = nn.Sequential(ours).eval()
        use_runtime_operators(model)
        program = torch.onnx.export(model, (given,), dynamo=True, input_names=["x"], output_names=["y"], verbose=False)
        assert program is not None
        program.save(str(tmp_path / f"{name}.onnx"))
        stored = [numpy_helper.to_array(t) for t in onnx.load(tmp_path / f"{name}.onnx").graph.initializer]
        assert any(
            np.array_equal(t, ours.int_weight.codes.numpy().reshape(t.shape)) for t in stored if t.dtype == np.int8
        )
        result = ort.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"x": given.numpy()})[0]
        np.testing.assert_allclose(result, ours(given).numpy(), atol=2e-6, rtol=1e-5)


def test_half_storage_changes_no_result_and_halves_the_file(tmp_path: Path) -> None:
    layer = nn.Linear(256, 256)
    layer.weight.data = layer.weight.data.half().float()
    layer.bias.data[0] = 1 / 3  # no float16 has this value: the bias must stay float32
    plain, half = exported(layer, tmp_path / "a.onnx"), exported(layer, tmp_path / "b.onnx", half=True)
    types = sorted(t.data_type for t in half.graph.initializer)
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16]
    assert half.ByteSize() < 0.6 * plain.ByteSize()
    x = np.random.default_rng(0).normal(size=(1, 3, 256)).astype(np.float32)
    results = [ort.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"x": x})[0] for name in "ab"]
    assert np.array_equal(*results)
