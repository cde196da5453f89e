"""Core ML from end to end: the integers in the package, what it answers, and what its certificate catches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from coremltools.converters.mil.mil import types
from safetensors.torch import load_file

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines.coreml import CoreMLEngine
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate.certify import certify
from export.certificate.stages import STAGES, greedy_tokens
from export.mil import MilModel
from export.mil.package import read_package
from export.targets.coreml import HALF
from export.targets.coreml.packages import write_graphs
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from pulse.model.llama import rotary
from quantize.checkpoint import quantize_checkpoint
from quantize.integers import unpack
from quantize.load import load_model
from tests.exporting import engine_of, export

from .conftest import relative


@pytest.fixture(scope="module")
def bundle(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny-coreml"
    certificate, _ = export(checkpoint, "coreml", "int4", out, pages)
    assert certificate.status == "pass"
    return out


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint) -> TorchEngine:
    return TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)


def test_bundle_carries_its_certificate_and_what_a_device_needs_to_know(bundle: Path) -> None:
    written = json.loads((bundle / "certificate.json").read_text())
    assert written["status"] == "pass"
    for stage in written["stages"]:
        assert stage["error"] <= stage["threshold"]
        assert stage["threshold"] == HALF.thresholds.get(stage["stage"], stage["threshold"])
    assert ["multiple of 32" in warning for warning in written["warnings"]] == [True]
    readme = (bundle / "README.md").read_text()
    assert 'load("decoder.mlpackage")' in readme
    assert written["warnings"][0] in readme
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["target"] == "coreml"
    assert "coremltools" in manifest["tools"]
    assert "decoder.mlpackage/Data/com.apple.CoreML/weights/weight.bin" in manifest["files"]
    assert not list(bundle.rglob("*debug*"))


def test_integers_and_scales_in_the_packages_are_those_of_the_checkpoint(
    bundle: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "q")
    stored = load_file(tmp_path / "q" / "model.safetensors")
    layers = [name.removesuffix(".weight_packed") for name in stored if name.endswith(".weight_packed")]
    assert len(layers) == 2 * 7 + 2  # q k v o gate up down in two layers, and the projector's two
    want = {
        (unpack(stored[f"{n}.weight_packed"], 4).numpy().tobytes(), stored[f"{n}.weight_scale"].numpy().tobytes())
        for n in layers
    }
    found, again = set(), set()
    for name in ("vision", "decoder"):
        path = bundle / f"{name}.mlpackage"
        for op in read_package(path).operations:
            if op.type == "constexpr_blockwise_shift_scale":
                data, scale = op.inputs["data"], op.inputs["scale"]
                assert (data.dtype, scale.dtype) == (np.int8, np.float16)
                assert "offset" not in op.inputs
                found.add((data.tobytes(), scale.tobytes()))
        # The same by coremltools' own reader of saved packages.
        spec = ct.utils.load_spec(str(path))
        weights = str(path / "Data/com.apple.CoreML/weights")
        for operation in load_program(spec, spec.specificationVersion, weights).functions["main"].operations:
            if operation.op_type == "constexpr_blockwise_shift_scale":
                assert types.builtin_to_string(operation.data.dtype) == "int4"
                again.add((operation.data.val.astype(np.int8).tobytes(), operation.scale.val.tobytes()))
    assert found == want
    assert again == want


def test_package_is_what_devices_run_well(bundle: Path) -> None:
    program = read_package(bundle / "decoder.mlpackage")
    names = [op.type for op in program.operations]
    assert {name: t.shape for name, t in program.states.items()} == {
        f"{kind}_{i}": (1, 2, 256, 16) for i in range(2) for kind in ("key", "value")
    }
    assert names.count("write_state") == names.count("slice_update") == 4
    assert "tile" not in names  # keys and values are not copied for the query heads that share them
    assert {t.dtype for t in [*program.inputs.values(), *program.states.values()]} == {np.dtype(np.float16)}
    # Statistics of the norms, which would overflow, and nothing else, in float32.
    wide = {op.type for op in program.operations for _, t in op.outputs if t.dtype == np.float32}
    assert wide == {"cast", "mul", "reduce_mean", "add", "rsqrt"}
    assert ct.utils.load_spec(str(bundle / "decoder.mlpackage")).specificationVersion == 9  # iOS 18


def test_engine_answers_like_torch_in_pieces_and_from_any_cache(bundle: Path, reference: TorchEngine) -> None:
    engine = engine_of(Bundle.load(bundle))
    assert isinstance(engine, CoreMLEngine)
    draw = np.random.default_rng(0)
    pixels = draw.normal(size=(3, 1, 64, 96)).astype(np.float32)
    assert relative(engine.vision(pixels), reference.vision(pixels)) < 1e-3
    ids = [5, 0, 299, 7]
    assert np.array_equal(engine.embed(ids), reference.embed(ids))
    ours, theirs = [engine.empty_cache()], [reference.empty_cache()]
    for step in range(25):
        start = int(draw.integers(len(ours)))
        embeds = reference.embed(draw.integers(0, 300, int(draw.integers(1, 6))).tolist())
        got, cache = engine.decode(embeds, ours[start])
        want, past = reference.decode(embeds, theirs[start])
        assert relative(got, want) < 1e-2, step
        ours.append(cache)
        theirs.append(past)
    assert max(cache.length for cache in ours) > 10


@pytest.mark.parametrize(
    ("weights", "close"), [pytest.param("float16", 1e-2, marks=pytest.mark.slow), ("float32", 2e-3)]
)
def test_float_weights(weights: str, close: float, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """float32 packages are off by what their float16 states round."""
    write_graphs(load_model(checkpoint, weights), checkpoint.config, weights, tmp_path)
    reference = TorchEngine(load_model(checkpoint, weights), checkpoint.config)
    model = MilModel(tmp_path / "decoder.mlpackage")
    assert "constexpr_blockwise_shift_scale" not in {op.type for op in model.program.operations}
    embeds = reference.embed([3, 1, 4, 1, 5, 9])
    mask = np.triu(np.full((6, 6), -1e4), 1)[None, None]
    got = model.predict({"embeds": embeds[None], "mask": mask}, model.make_state())["logits"]
    assert got.dtype == np.dtype(weights)
    assert relative(got[0].astype(np.float32), reference.decode(embeds, reference.empty_cache())[0]) < close


def broken(
    bundle: Path, folder: Path, package: str, change: Callable[[dict[str, np.ndarray]], tuple[str, np.ndarray]]
) -> Path:
    """A copy of the bundle with one weight changed on disk. change: weights by name -> (name, new value)."""
    shutil.copytree(bundle, folder)
    path = folder / f"{package}.mlpackage"
    program = read_package(path)
    weights = dict(program.constants)
    for op in program.operations:
        weights |= {f"{op.outputs[0][0]}.{k}": v for k, v in op.inputs.items() if isinstance(v, np.ndarray)}
    name, value = change(weights)
    old, new = weights[name].tobytes(), value.astype(weights[name].dtype).tobytes()
    assert len(old) == len(new) > 64
    assert old != new
    blob = path / "Data/com.apple.CoreML/weights/weight.bin"
    data = blob.read_bytes()
    assert data.count(old) == 1
    blob.write_bytes(data.replace(old, new))
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    return folder


def a_doubled_scale(weights: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    name = next(n for n, v in weights.items() if n.endswith(".scale") and v.size > 64)
    return name, 2 * weights[name]


def another_rope_base(weights: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    right, wrong = (rotary(torch.arange(256), 16, base)[1].half().numpy() for base in (1e4, 1e6))
    return next(n for n, v in weights.items() if np.array_equal(v, right)), wrong


def swapped_channels(weights: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    name = next(n for n, v in weights.items() if v.ndim == 4 and v.shape[:2] == (16, 8))
    return name, weights[name][:, ::-1]


def a_shifted_normalization(weights: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """(pixel - mean) shifted by 0.5 as the first convolution would see it, had it been folded into the stem."""
    name = next(n for n, v in weights.items() if v.ndim == 4 and v.shape[1] == 1)
    return name, weights[name] * 1.5


@pytest.mark.parametrize(
    ("package", "change", "stage"),
    [
        ("decoder", a_doubled_scale, "first_logits"),
        ("vision", a_doubled_scale, "vision_features"),
        ("decoder", another_rope_base, "first_logits"),
        ("vision", swapped_channels, "vision_features"),
        ("vision", a_shifted_normalization, "vision_features"),
    ],
)
def test_a_broken_export_fails_at_its_stage(
    package: str,
    change: Callable[[dict[str, np.ndarray]], tuple[str, np.ndarray]],
    stage: str,
    bundle: Path,
    reference: TorchEngine,
    pages: list[Path],
    tmp_path: Path,
) -> None:
    few = {**STAGES, "greedy_tokens": partial(greedy_tokens, most=4)}  # they come after the stages in question
    loaded = Bundle.load(broken(bundle, tmp_path / "bad", package, change))
    certificate = certify(loaded, engine_of(loaded), reference, pages[:1], HALF, computed=few)
    assert (certificate.status, certificate.first_diverging_stage) == ("fail", stage)
    failed = next(s for s in certificate.stages if s.stage == stage)
    assert failed.error is not None
    assert failed.error > 3 * failed.threshold


def test_a_missing_decoder_is_said(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / "decoder.mlpackage")
    manifest = json.loads((bundle / "manifest.json").read_text())
    del manifest["artifacts"]["decoder"]
    write_manifest(tmp_path / "b", manifest)
    with pytest.raises(UserError, match="no decoder artifact"):
        engine_of(Bundle.load(tmp_path / "b"))


def test_session_on_a_bundle_asks_again_from_one_image(bundle: Path, reference: TorchEngine, pages: list[Path]) -> None:
    """Findings between the turns of a conversation, as an app may ask for them, and the same answers as torch."""
    loaded = Bundle.load(bundle)
    probabilities = []
    for engine in (engine_of(loaded), reference):
        page = Session(engine, loaded.manifest.inference, Tokenizer(loaded.path("tokenizer"))).look(pages[0])
        before = page.findings()[0].probability
        first = page.ask("Report?", max_new_tokens=3, findings=False, allow_non_ecg=True).finish()
        page._findings.clear()
        assert page.findings()[0].probability == pytest.approx(before, rel=1e-3)
        second = page.ask("Sure?", max_new_tokens=3, findings=False, allow_non_ecg=True).finish()
        probabilities.append([before, *first.token_ids, *second.token_ids])
    assert probabilities[0][1:] == probabilities[1][1:]
    assert probabilities[0][0] == pytest.approx(probabilities[1][0], abs=5e-3)
