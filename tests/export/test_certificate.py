"""What a certificate sees: every fault put into a bundle fails at its own stage, and rounding on purpose does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.bundle import Bundle, manifest_bytes, write_manifest
from edge_runtime.engines import open_engine
from export.certificate.bundle import certificate_of
from export.certificate.certify import Computed, certify
from export.certificate.stages import STAGES
from export.targets.onnx import ROUNDED
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from quantize.load import load_model
from tests.exporting import export


def _double_a_scale(path: Path) -> None:
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.op_type == "MatMulNBits")
    cast = next((n for n in model.graph.node if node.input[2] in n.output), None)  # large scales are stored as float16
    name = cast.input[0] if cast else node.input[2]
    scale = next(t for t in model.graph.initializer if t.name == name)
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), name))
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("graph", "stage"), [("vision", "vision_features"), ("decoder", "first_logits")], ids=["vision", "decoder"]
)
def test_one_doubled_scale_fails_at_its_stage(
    graph: str, stage: str, bundle: Path, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(bundle, folder)
    _double_a_scale(folder / f"{graph}.onnx")
    assert _certify(folder, checkpoint, pages) == ("fail", stage)
    assert _certify(bundle, checkpoint, pages) == ("pass", None)


def _reversed_on_both_sides(weight: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weight[::-1])


def _of_base_1e6(table: np.ndarray) -> np.ndarray:
    positions, half = table.shape
    angle = np.arange(positions)[:, None] / 1e6 ** (np.arange(half) / half)
    function = np.cos if table[0, 0] == 1 else np.sin
    return function(angle).astype(table.dtype)


@pytest.mark.parametrize(
    ("graph", "pick", "change", "stage"),
    [
        # The stem's filters in another order: the channels behind it are swapped.
        ("vision", lambda t: t.ndim == 4 and t.shape[1] == 1, _reversed_on_both_sides, "vision_features"),
        ("decoder", lambda t: t.shape == (256, 8), _of_base_1e6, "first_logits"),
    ],
    ids=["swapped channels", "another RoPE base"],
)
def test_changed_weights_fail_at_their_stage(
    graph: str,
    pick: Callable[[np.ndarray], bool],
    change: Callable[[np.ndarray], np.ndarray],
    stage: str,
    bundle: Path,
    checkpoint: Checkpoint,
    pages: list[Path],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(bundle, folder)
    model = onnx.load(folder / f"{graph}.onnx")
    picked = [t for t in model.graph.initializer if pick(numpy_helper.to_array(t))]
    assert len(picked) == (2 if graph == "decoder" else 1)
    for tensor in picked:
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, folder / f"{graph}.onnx")
    assert _certify(folder, checkpoint, pages) == ("fail", stage)


def test_a_shifted_normalization_fails_at_the_pixels(
    bundle: Path, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["preprocess"]["mean"] = [0.55]
    (folder / "manifest.json").write_bytes(manifest_bytes(manifest))
    assert _certify(folder, checkpoint, pages) == ("fail", "pixels")


def test_large_decoders_get_8_bit_activations_and_a_tolerance_that_still_sees_a_broken_layer(
    wide: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    certificate, folder = export(wide, "onnx", "int4", tmp_path / "out", pages)
    assert certificate.status == "pass"
    assert certificate.warnings == (ROUNDED,)
    assert (_accuracy_levels(folder, "vision"), _accuracy_levels(folder, "decoder")) == ({0}, {4})
    stages = {stage.stage: stage for stage in certificate.stages}
    assert list(stages) == ["pixels", "vision_features", "token_texts", "token_embeddings", "decoder_steps"]
    assert stages["vision_features"].threshold == 3e-4
    # Held against torch that rounds as well, nothing is left of the rounding, which the cost tells.
    assert stages["decoder_steps"].error < 1e-5 < 1e-3 == stages["decoder_steps"].threshold
    cost = certificate.cost
    assert cost.logits_largest > cost.logits_mean > 1e-3 * cost.logits_size
    assert certificate.as_json()["cost"]["reference"].startswith("float32")
    assert "fidelity to activations int8, symmetric, in the blocks of the weight" in certificate.as_text()
    _double_a_scale(folder / "decoder.onnx")
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    again = certificate_of(Bundle.load(folder), wide, pages)
    assert (again.status, again.first_diverging_stage) == ("fail", "decoder_steps")
    assert again.stages[-1].reason == "first: layers.0.self_attn.q_proj"


@pytest.mark.parametrize("style", ["nbits", "qdq"])
def test_exact_products_keep_the_tolerance_of_float32_in_large_models(
    style: str, wide: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    exact = style == "nbits"  # the other style always is
    certificate, folder = export(wide, "onnx", "int4", tmp_path / "out", pages, onnx_style=style, exact=exact)
    assert (certificate.status, certificate.warnings) == ("pass", ())
    assert next(stage for stage in certificate.stages if stage.stage == "first_logits").threshold == 3e-4
    assert json.loads((folder / "manifest.json").read_text())["options"] == {"exact": True}
    assert _accuracy_levels(folder, "decoder") == ({0} if style == "nbits" else set())


def _accuracy_levels(folder: Path, graph: str) -> set[int]:
    nodes = [node for node in onnx.load(folder / f"{graph}.onnx").graph.node if node.op_type == "MatMulNBits"]
    return {a.i for node in nodes for a in node.attribute if a.name == "accuracy_level"}


def test_changed_preprocessing_fails_at_the_first_stage_it_touches(
    bundle: Path, checkpoint: Checkpoint, pages: list[Path]
) -> None:
    black = {**STAGES, "pixels": lambda session, page: np.zeros((1, 1, 64, 96), np.float32)}
    assert _certify(bundle, checkpoint, pages, black) == ("fail", "pixels")


def test_infinite_weights_fail_and_are_written_as_json(
    bundle: Path, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(bundle, folder)
    model = onnx.load(folder / "decoder.onnx")
    tensor = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16)
    tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.inf), tensor.name))
    onnx.save(model, folder / "decoder.onnx")
    assert _certify(folder, checkpoint, pages) == ("fail", "first_logits")


def _certify(
    folder: Path, checkpoint: Checkpoint, pages: list[Path], computed: Mapping[str, Computed] = STAGES
) -> tuple[str, str | None]:
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    loaded = Bundle.load(folder)
    reference = TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)
    certificate = certify(loaded, open_engine(loaded), reference, pages, computed=computed)
    json.dumps(certificate.as_json(), allow_nan=False)
    return certificate.status, certificate.first_diverging_stage
