"""Target "qnn": what is exported runs on a simulator of Hexagon as torch says, and nothing of it on the CPU."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from edge_runtime.ask import main as ask
from edge_runtime.bundle import Bundle
from edge_runtime.engines import open_engine
from edge_runtime.engines.qnn import GRAPHS, simulator
from edge_runtime.errors import UserError
from edge_runtime.measure import measure
from export.certificate.bundle import reference_of
from export.certificate.certify import Certificate
from export.simulated import check_simulated
from export.targets.qnn import CHIPS, QnnOptions
from export.targets.qnn.activations import scale_and_zero
from export.targets.qnn.ranges import Range
from export.verify_cli import main as verify
from pulse.checkpoint.checkpoint import Checkpoint
from quantize.layers import IntLinear
from quantize.load import load_model
from tests.export.conftest import relative
from tests.exporting import export

Exported = tuple[Certificate, Path]


@pytest.fixture(scope="module")
def hexagon() -> None:
    if simulator():
        return
    why = "no simulator of Hexagon here: pip install 'pulse-edge[npu]' on x86 Linux"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def made(
    hexagon: None, checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    out = tmp_path_factory.mktemp("qnn") / "tiny-qnn"
    return export(checkpoint, "qnn", "int4", out, pages[:1], window=128, soc="sm8650")


@pytest.fixture(scope="module")
def hexagon_bundle(made: Exported) -> Bundle:
    return Bundle.read(made[1])


def test_it_is_certified_on_the_simulator(made: Exported) -> None:
    certificate, _ = made
    assert certificate.status == "pass", certificate.as_text()
    assert "simulator of Hexagon" in certificate.ran_by
    assert "uint16" in certificate.arithmetic.activations
    # Were the differences 0, torch would have been compared with itself.
    errors = {stage.stage: stage.error for stage in certificate.stages}
    assert 0 < (errors["vision_features"] or 0) < 5e-3


def test_its_integers_are_the_checkpoints_own(hexagon_bundle: Bundle, made: Exported, checkpoint: Checkpoint) -> None:
    graph = onnx.load(hexagon_bundle.path("token")).graph
    codes = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == TensorProto.INT4}
    layers = dict(load_model(checkpoint, "int4").language_model.model.named_modules())
    assert len(codes) == 14
    for name, array in codes.items():
        layer = layers[name.split(".weight.")[0]]
        assert isinstance(layer, IntLinear)
        np.testing.assert_array_equal(array.astype(np.int8), layer.int_weight.codes.T.numpy())


def test_a_conversation_goes_on_and_back(hexagon_bundle: Bundle, checkpoint: Checkpoint) -> None:
    """Prompts of several chunks, one token, another branch of the same prefix: all as torch has them."""
    engine, reference = open_engine(hexagon_bundle), reference_of(hexagon_bundle, checkpoint)
    embeds = reference.embed(list(range(20, 60)))
    _, ours = engine.decode(embeds, engine.empty_cache())
    _, theirs = reference.decode(embeds, reference.empty_cache())
    for count in (1, 3, 1):
        got, want = engine.decode(embeds[:count], ours)[0], reference.decode(embeds[:count], theirs)[0]
        assert relative(got, want) < 1e-2
    with pytest.raises(UserError, match="129 positions do not fit the bundle's 128"):
        engine.decode(np.repeat(embeds, 3, axis=0)[:89], ours)


def test_calibration_names_its_pages_and_contexts_their_chip(hexagon_bundle: Bundle, pages: list[Path]) -> None:
    told = json.loads(hexagon_bundle.path("calibration").read_text())
    assert [page["file"] for page in told["pages"]] == [pages[0].name]
    assert {name for name in hexagon_bundle.manifest.artifacts if "_" in name} == {f"sm8650_{name}" for name in GRAPHS}
    node = onnx.load(hexagon_bundle.path("sm8650_vision"), load_external_data=False).graph.node[0]
    assert node.op_type == "EPContext"


def test_an_answer_has_no_times(hexagon_bundle: Bundle, pages: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    """And what the simulator prints by itself is not in it."""
    folder = str(hexagon_bundle.folder)
    assert ask([folder, str(pages[0]), "--allow-non-ecg", "--max-new-tokens", "2", "--no-findings", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["timing"] is None
    assert "simulator of Hexagon" in told["simulated"]
    with pytest.raises(UserError, match="--device simulated://hexagon asks that, without times"):
        measure(folder, pages[0], runs=0)


def test_only_what_is_simulated_is(
    bundle: Path, checkpoint: Checkpoint, hexagon: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(bundle), "--model", str(checkpoint.folder), "--simulated", "hexagon"]) == 2
    assert "hexagon is simulated for bundles of target qnn, and this one's is onnx" in capsys.readouterr().err
    assert "simulator" in check_simulated("hexagon", ())


def test_options_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="--chunk 1: a prompt is read 2 positions at a time or more"):
        QnnOptions(chunk=1)
    with pytest.raises(UserError, match="--soc sm1: not a chip"):
        QnnOptions(soc="sm8650,sm1")
    assert QnnOptions().recorded() == {}
    assert QnnOptions(soc="none", window=64).recorded() == {"soc": "none", "window": 64}
    assert QnnOptions().chips == list(CHIPS)


@pytest.mark.parametrize("seen", [(-3.0, 5.0), (0.0, 7.0), (-2.0, 0.0), (0.0, 0.0)])
def test_a_range_and_as_much_again_fits_16_bits(seen: tuple[float, float]) -> None:
    scale, zero = scale_and_zero(Range(*seen))
    least, most = ((code - int(zero)) * float(scale) for code in (0, 65535))
    assert least <= 2 * seen[0] + float(scale)
    assert most >= 2 * seen[1] - float(scale)


def test_a_range_grows_with_what_is_seen() -> None:
    assert Range().over(torch.tensor([1.0, 2.0])).over(torch.tensor([-3.0])) == Range(-3.0, 2.0)
