"""Others' integers in every format: the same ones, behind the order of inputs that their groups are in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import coremltools as ct
import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

import export.targets.coreml.ints  # teaches the converter our operators
from edge_runtime.errors import UserError
from export.mil import MilModel
from export.targets.executorch.intx import use_intx
from export.targets.gguf.tensors import q4_0
from export.targets.onnx.nbits import use_runtime_operators
from export.targets.onnx.qdq import OPSET, store_as_int4, use_standard_operators
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.layers import IntLinear
from quantize.load import load_model
from tests.exporting import export
from tests.foreign import chosen, compressed, gptq, section, shapes, write
from tests.golden import GOLDEN

PAGE = GOLDEN / "images" / "small_400x300.png"
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": True}
DOWN = "model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """GPTQ with desc_act: a group's inputs lie anywhere."""
    kind = {"symmetric": True, "shuffled": True}
    layers = {name: gptq(chosen(shape, k, 32, **kind)) for k, (name, shape) in enumerate(shapes().items())}
    return Checkpoint.open(write(tmp_path_factory.mktemp("gptq") / "model", GPTQ, layers))


@pytest.fixture
def layer(shuffled: Checkpoint) -> IntLinear:
    found = load_model(shuffled).get_submodule(f"language_model.{DOWN}")
    assert isinstance(found, IntLinear)
    assert found.input_order is not None
    return found


def by_onnx(model: nn.Sequential, x: torch.Tensor, folder: Path, standard: bool) -> np.ndarray:
    (use_standard_operators if standard else use_runtime_operators)(model)
    program = torch.onnx.export(
        model, (x,), dynamo=True, input_names=["x"], output_names=["y"], verbose=False, opset_version=OPSET
    )
    assert program is not None
    store_as_int4(program.model.graph)
    program.save(str(folder / "m.onnx"))
    return ort.InferenceSession(folder / "m.onnx").run(None, {"x": x.numpy()})[0]


def by_coreml(model: nn.Sequential, x: torch.Tensor, folder: Path) -> np.ndarray:
    program = torch.export.export(model, (x,), strict=False).run_decompositions({})
    inputs = [ct.TensorType("x", shape=tuple(x.shape), dtype=np.float16)]
    package = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        inputs=inputs,
        outputs=[ct.TensorType("y", dtype=np.float16)],
        skip_model_load=True,
    )
    package.save(str(folder / "m.mlpackage"))
    return MilModel(folder / "m.mlpackage").predict({"x": x.numpy()})["y"]


def by_executorch(model: nn.Sequential, x: torch.Tensor, folder: Path) -> np.ndarray:
    use_intx(model, quantize_activations=False)
    return model(x).numpy()


@pytest.mark.parametrize(
    ("run", "off"),
    [
        (partial(by_onnx, standard=False), 1e-6),
        (partial(by_onnx, standard=True), 2e-2),  # ONNX Runtime rounds activations to 8 bits in the fused product
        (by_coreml, 1e-3),
        (by_executorch, 1e-6),
    ],
    ids=["nbits", "qdq", "coreml", "executorch"],
)
def test_inputs_reach_their_own_group(
    run: Callable[[nn.Sequential, torch.Tensor, Path], np.ndarray], off: float, layer: IntLinear, tmp_path: Path
) -> None:
    x = torch.randn(1, 5, layer.in_features, generator=torch.Generator().manual_seed(1)).half().float()
    wanted = (x @ layer.float_weight.T).numpy()
    got = run(nn.Sequential(layer).eval(), x, tmp_path)
    assert np.linalg.norm(got - wanted) < off * np.linalg.norm(wanted)


def test_the_bundle_of_such_a_checkpoint_is_certified_against_its_own_integers(
    shuffled: Checkpoint, tmp_path: Path
) -> None:
    certificate, folder = export(shuffled, "onnx", None, tmp_path / "b", [PAGE])
    assert certificate.status == "pass"
    stored = (folder / "decoder.onnx").read_bytes()
    for module in load_model(shuffled).modules():
        if isinstance(module, IntLinear):
            assert module.weight_packed.numpy().tobytes() in stored


def test_what_llama_cpp_and_core_ml_cannot_hold_is_named(layer: IntLinear, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"groups of consecutive inputs alone .*desc_act false.*; quantize with"):
        q4_0(layer)
    fine = chosen(shapes()[DOWN], 0, 32, symmetric=True, dtype=torch.float32)
    checkpoint = Checkpoint.open(write(tmp_path / "model", section(), {DOWN: compressed(fine, symmetric=True)}))
    layer = load_model(checkpoint).get_submodule(f"language_model.{DOWN}")
    assert isinstance(layer, IntLinear)
    with pytest.raises(UserError, match="float16 scales alone, and one of this checkpoint's is none"):
        q4_0(layer)
    with pytest.raises(UserError, match="Core ML keeps scales as float16, which does not have one"):
        by_coreml(nn.Sequential(layer), torch.zeros(1, 5, layer.in_features), tmp_path)
