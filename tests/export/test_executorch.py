"""The .pte against torch: every method, the integers inside, broken programs caught at their stage, and wrong use."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("executorch")

from executorch.exir._serialize._program import deserialize_pte_binary

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from export.certificate.bundle import certificate_of
from export.certificate.certify import Certificate, certify
from export.certificate.stages import STAGES
from export.certificate.tolerance import EIGHT_BIT_ACTIVATIONS, EXACT, Tolerance
from export.cli import main
from export.target import Job, find
from export.targets.executorch.delegate import DELEGATES, usable
from export.targets.executorch.program import write_graphs
from export.targets.executorch.report import read_shares
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.engine import TorchEngine
from pulse.model.llama import rotary
from quantize.layers import IntLinear
from quantize.load import load_model
from tests.exporting import export, without_weights


@pytest.fixture(scope="module")
def int4(
    checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Certificate]:
    certificate, out = export(checkpoint, "executorch", "int4", tmp_path_factory.mktemp("executorch") / "tiny", pages)
    return out, certificate


def test_int4_bundle_answers_like_torch(int4: tuple[Path, Certificate]) -> None:
    out, certificate = int4
    assert certificate.status == "pass"
    assert json.loads((out / "certificate.json").read_text())["status"] == "pass"
    errors = {stage.stage: stage.error for stage in certificate.stages}
    assert list(errors) == ["pixels", "vision_features", "token_texts", "token_embeddings", "decoder_texts"]
    assert errors["decoder_texts"] is not None
    assert errors["decoder_texts"] < 2e-6  # torch rounds as XNNPACK does
    # 8-bit activations cost something: a cost of nothing would mean that they, or the comparison, are not there.
    assert certificate.cost.logits_size is not None
    assert certificate.cost.logits_mean is not None
    assert certificate.cost.logits_mean > 1e-3 * certificate.cost.logits_size


def stored(program: Path) -> list[bytes]:
    """Every named constant of a .pte: where XNNPACK keeps its weights and their scales."""
    named = deserialize_pte_binary(program.read_bytes()).named_data
    assert named is not None
    return [bytes(buffer) for buffer in named.buffers]


def test_integers_in_the_program_are_those_of_the_checkpoint(
    int4: tuple[Path, Certificate], checkpoint: Checkpoint
) -> None:
    model = load_model(checkpoint, "int4")
    layers = [module for module in model.modules() if isinstance(module, IntLinear)]
    assert len(layers) == 2 * 7 + 2  # q k v o gate up down in two layers, and the projector's two
    constants = set(stored(int4[0] / "model.pte"))
    for layer in layers:
        # XNNPACK packs as the checkpoint does: two codes a byte, the first in the low half, plus 8.
        assert layer.weight_packed.numpy().tobytes() in constants
        assert layer.weight_scale.bfloat16().view(torch.int16).numpy().tobytes() in constants


def test_delegate_takes_all_the_work_but_attention(int4: tuple[Path, Certificate]) -> None:
    shares = {method: share for _, method, share in read_shares(int4[0])}
    assert list(shares) == ["vision_encoder", "token_embedding", "text_decoder"]
    for method in ("vision_encoder", "text_decoder"):
        assert 0 < shares[method].delegated_ops < shares[method].ops
    assert shares["vision_encoder"].delegated_macs > 0.99 * shares["vision_encoder"].macs > 0
    assert shares["token_embedding"].macs == 0
    # By hand: per traced position, two layers' Linears and their attention over the whole cache, and the head once.
    linears = 8 * 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 96)
    norms = (8 * 2 * 2 + 1) * 64  # whose means are products
    assert shares["text_decoder"].delegated_macs == linears + norms + 64 * 300
    assert shares["text_decoder"].macs == linears + norms + 8 * 2 * 2 * 4 * 16 * 256 + 64 * 300


def test_metadata_for_the_stock_runners(int4: tuple[Path, Certificate]) -> None:
    program = open_engine(Bundle.load(int4[0]))._program
    values = {
        name: program.load_method(name).call([])
        for name in ("get_max_seq_len", "get_max_context_len", "get_vocab_size", "use_kv_cache", "get_eos_ids")
    }
    assert values == {
        "get_max_seq_len": [256],
        "get_max_context_len": [256],
        "get_vocab_size": [300],
        "use_kv_cache": [True],
        "get_eos_ids": [1],
    }
    assert program.load_method("get_bos_id").call([]) == [0]


@pytest.fixture(scope="module")
def float32(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exact but for summation order, so that layouts and positions show without quantization's noise."""
    certificate, out = export(checkpoint, "executorch", "float32", tmp_path_factory.mktemp("float32") / "tiny", pages)
    assert certificate.status == "pass"
    assert tolerance(checkpoint, "float32") == EXACT  # so it passed with the thresholds of exact targets
    return out


def test_branches_and_returns_equal_torch(float32: Path, checkpoint: Checkpoint) -> None:
    engine, torch_engine = (
        open_engine(Bundle.load(float32), threads=1),
        TorchEngine(load_model(checkpoint, "float32"), checkpoint.config),
    )
    draw = np.random.default_rng(0)
    histories = [(engine.empty_cache(), torch_engine.empty_cache())]
    for _ in range(25):
        ours, theirs = histories[draw.integers(len(histories))]
        embeds = draw.normal(size=(draw.integers(1, 9), 64)).astype(np.float32)
        got, ours = engine.decode(embeds, ours)
        want, theirs = torch_engine.decode(embeds, theirs)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
        histories.append((ours, theirs))


def test_methods_that_share_their_memory_leave_the_cache_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """ExecuTorch's Python runtime gives all methods of one loaded program the same arenas. A long context, since the
    planner lays the largest tensor where every arena begins."""
    from executorch.extension.pybindings import portable_lib

    inference, eye = checkpoint.config.inference, checkpoint.config.vision
    text = dataclasses.replace(checkpoint.config.text, max_position_embeddings=8192)
    long = dataclasses.replace(inference, model=dataclasses.replace(inference.model, context_length=8192))
    config = dataclasses.replace(checkpoint.config, text=text, inference=long)
    write_graphs(load_model(checkpoint, "float32"), config, "float32", tmp_path)
    embeds = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))

    def logits(between: str, *inputs: torch.Tensor) -> np.ndarray:
        program = portable_lib._load_program(str(tmp_path / "model.pte"))
        decoder = program.load_method("text_decoder")
        for position, x in enumerate(embeds):
            program.load_method(between).call(list(inputs))
            found = decoder.call([x[None, None], torch.tensor([position])])[0]
        return found.numpy()

    alone = logits("get_max_seq_len")
    np.testing.assert_array_equal(logits("token_embedding", torch.arange(200)[None]), alone)
    pixels = torch.ones(1, eye.in_channels, eye.height, eye.width)
    np.testing.assert_array_equal(logits("vision_encoder", pixels), alone)


def recertify(folder: Path, checkpoint: Checkpoint, pages: list[Path]) -> tuple[str, str | None]:
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    certificate = certificate_of(Bundle.load(folder), checkpoint, pages)
    return certificate.status, certificate.first_diverging_stage


def patched(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """A copy of the bundle with the one occurrence of `old` in its program replaced."""
    shutil.copytree(source, target)
    data = (target / "model.pte").read_bytes()
    assert data.count(old) == 1
    assert len(old) == len(new)
    (target / "model.pte").write_bytes(data.replace(old, new))
    return target


@pytest.mark.parametrize(
    ("layer", "stage"),
    [
        ("multi_modal_projector.linear_2", "vision_features"),
        ("language_model.model.layers.1.mlp.down_proj", "decoder_texts"),
    ],
)
def test_a_layers_doubled_scale_fails_at_its_stage(
    layer: str, stage: str, int4: tuple[Path, Certificate], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    module = load_model(checkpoint, "int4").get_submodule(layer)
    assert isinstance(module, IntLinear)
    old, new = (
        (factor * module.weight_scale.float()).bfloat16().view(torch.int16).numpy().tobytes() for factor in (1, 2)
    )
    folder = patched(int4[0], tmp_path / "bad", old, new)
    assert recertify(folder, checkpoint, pages) == ("fail", stage)


def test_another_rope_base_fails_at_the_first_logits(
    float32: Path, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    right, wrong = (rotary(torch.arange(256), 16, base)[1].numpy().tobytes() for base in (1e4, 1e6))
    folder = patched(float32, tmp_path / "bad", right, wrong)
    assert recertify(folder, checkpoint, pages) == ("fail", "first_logits")


def test_swapped_channels_fail_at_the_vision_features(
    float32: Path, checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    stem = load_model(checkpoint, "float32").vision_tower.layers[0].conv.bias.detach().numpy()
    folder = patched(float32, tmp_path / "bad", stem.tobytes(), stem[::-1].tobytes())
    assert recertify(folder, checkpoint, pages) == ("fail", "vision_features")


def test_shifted_normalization_fails_at_the_pixels(
    int4: tuple[Path, Certificate], checkpoint: Checkpoint, pages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = {**STAGES, "pixels": lambda session, page: STAGES["pixels"](session, page) + np.float32(0.02)}
    bundle, reference = Bundle.load(int4[0]), TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)
    certificate = certify(bundle, open_engine(bundle), reference, pages, computed=shifted)
    assert (certificate.status, certificate.first_diverging_stage) == ("fail", "pixels")


def test_tokens_that_differ_count_unless_the_reference_hardly_prefers_its_own(
    int4: tuple[Path, Certificate], checkpoint: Checkpoint, pages: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, reference = Bundle.load(int4[0]), TorchEngine(load_model(checkpoint, "int4"), checkpoint.config)
    engine = open_engine(bundle)
    decode = engine.decode

    def second_best(embeds: np.ndarray, cache: object) -> tuple[np.ndarray, object]:
        logits, after = decode(embeds, cache)
        best, second = np.argsort(logits)[[-1, -2]]
        logits = logits.copy()
        logits[[best, second]] = logits[[second, best]]
        return logits, after

    monkeypatch.setattr(engine, "decode", second_best)
    for margin, status in ((0.0, "fail"), (1e6, "pass")):
        found = certify(bundle, engine, reference, pages, dataclasses.replace(EIGHT_BIT_ACTIVATIONS, near_tie=margin))
        (stage,) = (s for s in found.stages if s.stage == "greedy_tokens")
        assert stage.status == status
        assert bool(stage.near_ties) == (status == "pass")
        assert all(tie.page in {page.name for page in pages} and tie.margin <= margin for tie in stage.near_ties)


def test_a_delegate_of_other_machines_gets_a_certificate_of_stages_not_run(
    checkpoint: Checkpoint,
    pages: list[Path],
    tmp_path: Path,
    int4: tuple[Path, Certificate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(job: Job, model: object, folder: Path) -> dict[str, str]:
        assert job.own.delegate == "vulkan"
        shutil.copyfile(int4[0] / "model.pte", folder / "model.pte")
        backend = DELEGATES.load(job.own.delegate).backend
        (folder / "delegation.json").write_text(json.dumps({"backend": backend, "methods": {}}))
        return {"program": "model.pte", "delegation": "delegation.json"}

    target = dataclasses.replace(find("executorch"), write=write)
    certificate, out = export(checkpoint, target, "int4", tmp_path / "out", pages, delegate="vulkan")
    assert certificate.status == "incomplete"
    assert {stage.status for stage in certificate.stages} == {"not_run"}
    assert all("VulkanBackend cannot run on this machine" in stage.reason for stage in certificate.stages)
    assert (out / "certificate.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("delegate", ["coreml", "vulkan"])
def test_delegates_for_other_machines_take_the_decoder(delegate: str, checkpoint: Checkpoint, tmp_path: Path) -> None:
    if delegate == "coreml":
        pytest.importorskip("coremltools")
    write_graphs(load_model(checkpoint, "int4"), checkpoint.config, "int4", tmp_path, delegate)
    shares = {method: share for _, method, share in read_shares(tmp_path)}
    for method in ("vision_encoder", "text_decoder"):
        assert shares[method].delegated_macs > 0.9 * shares[method].macs > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--target", "executorch", "--delegate", "tpu"], "invalid choice: 'tpu'"),
        (["--target", "onnx", "--delegate", "xnnpack"], "--delegate xnnpack goes with --target executorch"),
        (["--target", "executorch", "--delegate", "qnn"], "QNN SDK"),
        (["--target", "executorch", "--delegate", "openvino"], "pip install openvino nncf"),
        (["--target", "executorch", "--delegate", "ethos-u"], "pip install ethos-u-vela tosa-tools"),
        (["--target", "executorch"], "needs executorch, which is not installed; pip install pulse-edge[targets]"),
    ],
)
def test_what_cannot_be_lowered_is_said_before_any_work(
    arguments: list[str],
    reason: str,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("QNN_SDK_ROOT", raising=False)
    here = importlib.util.find_spec
    absent = {"openvino", "ethosu.vela"} if "--delegate" in arguments else {"executorch"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in absent else here(name))
    weightless = without_weights(checkpoint, tmp_path)  # so any work would fail otherwise
    assert main([str(weightless), *arguments, "--out", str(tmp_path / "out")]) == 2
    (line,) = [t for t in capsys.readouterr().err.splitlines() if not t.startswith("exporting ")]
    assert reason in line
    assert not (tmp_path / "out").exists()


def test_unknown_delegates_are_named() -> None:
    with pytest.raises(
        UserError,
        match="tpu is not available; this version lowers to coreml, ethos-u, openvino, qnn, vulkan",
    ):
        usable("tpu")


@pytest.mark.slow
def test_a_large_decoder_lies_in_several_programs_and_answers_the_same(
    int4: tuple[Path, Certificate], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    whole = Bundle.load(int4[0])
    manifest = json.loads((int4[0] / "manifest.json").read_text())
    folder = tmp_path / "split"
    folder.mkdir()
    model, config = load_model(checkpoint, "int4"), checkpoint.config
    artifacts = write_graphs(model, config, "int4", folder, program_bytes=1)
    assert list(artifacts) == ["program", "decoder_0", "decoder_1", "delegation"]
    assert "text_decoder of decoder_1.pte" in [method for _, method, _ in read_shares(folder)]
    shutil.copy(whole.path("tokenizer"), folder / "tokenizer.json")
    write_manifest(folder, {**manifest, "artifacts": {**artifacts, "tokenizer": "tokenizer.json"}})
    one, split = open_engine(whole, threads=1), open_engine(Bundle.load(folder), threads=1)
    draw, caches = np.random.default_rng(0), [one.empty_cache(), split.empty_cache()]
    for length in (5, 1, 3):
        embeds = draw.normal(size=(length, config.text.hidden_size)).astype(np.float32)
        (want, caches[0]), (got, caches[1]) = one.decode(embeds, caches[0]), split.decode(embeds, caches[1])
        np.testing.assert_allclose(got, want, atol=1e-5)


def tolerance(checkpoint: Checkpoint, weights: str) -> Tolerance:
    target = find("executorch")
    return target.tolerance(Job(checkpoint, checkpoint.config, weights, target.options()))
