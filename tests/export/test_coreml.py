"""Core ML from end to end: the integers in the package, what it answers, what its certificate catches, and the lint."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
import torch
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from coremltools.converters.mil.mil import types
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines.coreml import CoreMLEngine
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export import coreml_lint
from export.build import build_bundle, certifying_engine
from export.coreml import LIMITS, write_graphs
from export.coreml_decoder import StatefulDecoder, heads
from export.graphs import layer_chunks
from export.mil import MilModel
from export.mil.package import read_package
from export.near_ties import near_ties
from export.verify import certify
from pulse.model.config import ClipVision, Config, Decoder
from pulse.model.engine import TorchEngine
from pulse.model.llama import rotary
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.integers import unpack
from quantize.load import load_model, quantize_model


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "tiny-coreml"
    certificate, _ = build_bundle(checkpoint, "coreml", "int4", out, pages)
    assert certificate.status == "pass"
    return out


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> TorchEngine:
    return TorchEngine(*load_model(checkpoint, "int4"))


def relative(got: np.ndarray, want: np.ndarray) -> float:
    assert got.shape == want.shape
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def test_bundle_carries_its_certificate_and_what_a_device_needs_to_know(bundle: Path) -> None:
    written = json.loads((bundle / "certificate.json").read_text())
    assert written["status"] == "pass"
    for stage in written["stages"]:
        assert stage["error"] <= stage["threshold"]
        assert stage["threshold"] == LIMITS.thresholds.get(stage["stage"], stage["threshold"])
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
    bundle: Path, checkpoint: Path, tmp_path: Path
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
    engine = certifying_engine(Bundle.load(bundle))
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
def test_float_weights(weights: str, close: float, checkpoint: Path, tmp_path: Path) -> None:
    """float32 packages are off by what their float16 states round."""
    write_graphs(*load_model(checkpoint, weights), weights, tmp_path)
    reference = TorchEngine(*load_model(checkpoint, weights))
    model = MilModel(tmp_path / "decoder.mlpackage")
    assert "constexpr_blockwise_shift_scale" not in {op.type for op in model.program.operations}
    embeds = reference.embed([3, 1, 4, 1, 5, 9])
    mask = np.triu(np.full((6, 6), -1e4), 1)[None, None]
    got = model.predict({"embeds": embeds[None], "mask": mask}, model.make_state())["logits"]
    assert got.dtype == np.dtype(weights)
    assert relative(got[0].astype(np.float32), reference.decode(embeds, reference.empty_cache())[0]) < close


@pytest.fixture(scope="module")
def chunked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], TorchEngine, Config]:
    """A CLIP tower and a decoder of three layers whose weights may take only two layers' bytes a package."""
    text = Decoder(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=2048,
    )  # fmt: skip
    vision = ClipVision(
        height=28, width=42, patch_size=14, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=2,
    )  # fmt: skip
    config = Config(vision=vision, text=text, name="clip")
    torch.manual_seed(1)
    model = Llava(config).eval().requires_grad_(False)
    for tensor in model.parameters():
        tensor.copy_((torch.randn_like(tensor) * 0.2 if tensor.ndim > 1 else tensor).half())
    model.vision_tower.vision_model.embeddings.class_embedding.normal_()
    quantize_model(model)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folder = tmp_path_factory.mktemp("chunked")
    artifacts = write_graphs(model, config, "int4", folder, package_bytes=15_000)
    twin = Llava(config).eval().requires_grad_(False)
    quantize_model(twin)
    twin.load_state_dict(state)
    return folder, artifacts, TorchEngine(twin, config), config


def test_a_large_decoder_is_split_by_layers_and_answers_the_same(
    chunked: tuple[Path, dict[str, str], TorchEngine, Config],
) -> None:
    folder, artifacts, reference, _ = chunked
    assert list(artifacts) == ["vision", "embed", "decoder_0", "decoder_1"]
    models = [MilModel(folder / artifacts[f"decoder_{i}"]) for i in range(2)]
    assert [sorted(m.program.states) for m in models] == [
        ["key_0", "key_1", "value_0", "value_1"], ["key_2", "value_2"],
    ]  # fmt: skip
    states = [model.make_state() for model in models]
    cache, end = reference.empty_cache(), 0
    for ids in ([4, 8, 15, 16], [23], [42, 1]):
        x = reference.embed(ids)
        want, cache = reference.decode(x, cache)
        rows, end = np.arange(end, end + len(ids)), end + len(ids)
        mask = np.where(np.arange(end)[None] <= rows[:, None], 0, -1e4)[None, None]
        hidden = models[0].predict({"embeds": x[None], "mask": mask}, states[0])["hidden"]
        got = models[1].predict({"embeds": hidden, "mask": mask}, states[1])["logits"][0]
        assert relative(got.astype(np.float32), want) < 5e-3
    readme = (folder / "README.md").read_text()
    assert 'load("decoder_0.mlpackage"), try await load("decoder_1.mlpackage")' in readme
    assert "coreai-models#124" in readme


def test_clip_tower_answers_like_torch(chunked: tuple[Path, dict[str, str], TorchEngine, Config]) -> None:
    folder, artifacts, reference, _ = chunked
    pixels = np.random.default_rng(0).normal(size=(1, 3, 28, 42)).astype(np.float32)
    got = MilModel(folder / artifacts["vision"]).predict({"pixels": pixels})["features"]
    assert relative(got[0].astype(np.float32), reference.vision(pixels)) < 3e-3


@pytest.mark.parametrize(
    ("limit", "chunks"),
    [
        (10**12, [range(32)]),
        (1_000_000_000, [range(8), range(8, 16), range(16, 24), range(24, 31), range(31, 32)]),
        (1, [range(i, i + 1) for i in range(32)]),
    ],
)
def test_layers_are_shared_out_by_bytes(limit: int, chunks: list[range]) -> None:
    """Llama 2 7B: 202 M weights a layer, 114 MB in 4 bits; the head is 262 MB in float16."""
    assert layer_chunks(Decoder(), "int4", limit) == chunks


# --- broken exports -------------------------------------------------------------------------------


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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.stages.GREEDY_TOKENS", 4)  # they come after the stages in question
    loaded = Bundle.load(broken(bundle, tmp_path / "bad", package, change))
    certificate = certify(loaded, certifying_engine(loaded), reference, pages[:1], LIMITS)
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
        certifying_engine(Bundle.load(tmp_path / "b"))


# --- near ties ------------------------------------------------------------------------------------


@dataclasses.dataclass
class Parrot:
    """An engine whose logits are given: one row a position."""

    table: np.ndarray

    def embed(self, ids: list[int]) -> np.ndarray:
        return np.array(ids)[:, None]

    def decode(self, embeds: np.ndarray, cache: int) -> tuple[np.ndarray, int]:
        return self.table[cache + 1], cache + 1


def test_only_near_ties_are_forgiven() -> None:
    want = np.array([[0, 1, 2], [3, 3.01, 0], [5, 1, 0]], np.float32)
    got = np.array([[0, 1, 2], [3.02, 3, 0], [5, 1, 0]], np.float32)
    tokens = [2, 1, 0]

    def compare(bound: float) -> object:
        return near_ties((Parrot(got), got[0], 0), (Parrot(want), want[0], 0), "page", tokens, bound)

    (tie,) = compare(0.05)
    assert (tie.position, tie.token, tie.other) == (1, 1, 0)
    assert tie.margin == pytest.approx(0.01 / np.sqrt((9 + 3.01**2) / 3), abs=1e-5)  # of the logits' size
    assert compare(0.003) is None
    got[2] = [np.nan, np.nan, np.nan]
    want[2] = [5, np.nan, 0]
    assert compare(0.05) == [tie]  # argmax of NaN is the first: nothing to say here, the other stages fail


# --- the lint -------------------------------------------------------------------------------------


class Recorder(nn.Module):
    """Writes heads of x into a state, by a view and a transpose or by split and stack."""

    def __init__(self, by_view: bool, in_between: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.by_view, self.in_between = by_view, in_between
        self.project = nn.Linear(8, 8)
        self.register_buffer("rows", torch.zeros(1, 2, 6, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(x)
        y = y.view(1, 6, 2, 4).transpose(1, 2) if self.by_view else heads(y, 2)
        self.rows.copy_(self.in_between(y))
        return self.rows.sum()


@pytest.mark.parametrize("in_between", [lambda x: x, lambda x: (2 * x).relu()])
def test_lint_refuses_a_state_written_from_a_transposed_view(in_between: Callable[[Tensor], Tensor]) -> None:
    def program(by_view: bool) -> torch.export.ExportedProgram:
        module = Recorder(by_view, in_between).eval()
        return torch.export.export(module, (torch.zeros(1, 6, 8),)).run_decompositions({})

    coreml_lint.check_program(program(by_view=False))
    with pytest.raises(UserError, match=r"the state rows is written from a view .*coremltools#2278"):
        coreml_lint.check_program(program(by_view=True))


def test_heads_and_attention_of_the_decoder_pass_the_lint(checkpoint: Path) -> None:
    model, config = load_model(checkpoint, "float32")
    module = StatefulDecoder(model, range(config.text.num_hidden_layers)).eval()
    example = (torch.zeros(1, 5, config.text.hidden_size), torch.zeros(1, 1, 5, 9))
    program = torch.export.export(module, example, strict=False).run_decompositions({})
    assert program.graph_signature.buffers_to_mutate
    coreml_lint.check_program(program)


@pytest.mark.parametrize(
    ("head_dim", "context", "found"),
    [
        (128, 1024, []),
        (128, 2047, []),
        (80, 1024, ["multiple of 32"]),
        (128, 2048, ["coreai-models#124"]),
        (16, 4096, ["multiple of 32", "coreai-models#124"]),
    ],
)
def test_lint_warns_of_states_that_some_processors_cannot_hold(head_dim: int, context: int, found: list[str]) -> None:
    text = Decoder(head_dim=head_dim, max_position_embeddings=context)
    warnings = coreml_lint.warnings(Config(vision=ClipVision(), text=text))
    assert len(warnings) == len(found)
    assert all(part in warning for part, warning in zip(found, warnings, strict=True))


def test_lint_refuses_4_bit_look_up_tables(checkpoint: Path, tmp_path: Path) -> None:
    model, config = load_model(checkpoint, "float32")
    with pytest.raises(UserError, match=r"nf4 .*coremltools#2716.* use --weights int4"):
        write_graphs(model, config, "nf4", tmp_path)
    assert not any(tmp_path.iterdir())


def test_session_on_a_bundle_asks_again_from_one_image(bundle: Path, reference: TorchEngine, pages: list[Path]) -> None:
    """Findings between the turns of a conversation, as an app may ask for them, and the same answers as torch."""
    loaded = Bundle.load(bundle)
    probabilities = []
    for engine in (certifying_engine(loaded), reference):
        page = Session(loaded, engine, Tokenizer(loaded.path("tokenizer"))).look(pages[0])
        before = page.findings()[0].probability
        first = page.ask("Report?", max_new_tokens=3, findings=False, anyway=True).finish()
        page._findings.clear()
        assert page.findings()[0].probability == pytest.approx(before, rel=1e-3)
        second = page.ask("Sure?", max_new_tokens=3, findings=False, anyway=True).finish()
        probabilities.append([before, *first.token_ids, *second.token_ids])
    assert probabilities[0][1:] == probabilities[1][1:]
    assert probabilities[0][0] == pytest.approx(probabilities[1][0], abs=5e-3)
