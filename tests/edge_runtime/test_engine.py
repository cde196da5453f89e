"""The ONNX engine by itself: pieces against whole, immutable caches, and graphs that are not the format's."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

from edge_runtime import cpus
from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import ENGINES, _onnx_decoders, open_engine
from edge_runtime.engines import onnx as engine_module
from edge_runtime.errors import UserError
from edge_runtime.preprocess import pixels


@pytest.fixture
def engine(tiny):
    return open_engine(Bundle.load(tiny.folder), threads=1)


def test_vision_equals_the_twin(tiny, engine, page):
    bundle = Bundle.load(tiny.folder)
    got = engine.vision(pixels(page, bundle.manifest.inference.preprocess))
    np.testing.assert_allclose(got, tiny.twin.features(page), atol=1e-5)


def test_tiles_are_laid_end_to_end(tiny, engine, page):
    tiles = np.concatenate(
        [pixels(p, Bundle.load(tiny.folder).manifest.inference.preprocess) for p in (page, 255 - page)]
    )
    both = np.concatenate([tiny.twin.features(page), tiny.twin.features(255 - page)])
    np.testing.assert_allclose(engine.vision(tiles), both, atol=1e-5)


@pytest.mark.parametrize("cuts", [[12], [1, 11], [5, 1, 6], [1] * 12])
def test_any_split_of_a_sequence_gives_the_same_logits(tiny, engine, cuts):
    embeds = tiny.twin.embed(range(40, 52)).astype(np.float32)
    cache, start = engine.empty_cache(), 0
    for size in cuts:
        logits, cache = engine.decode(embeds[start : start + size], cache)
        start += size
        np.testing.assert_allclose(logits, tiny.twin.logits(embeds[:start]), atol=1e-4)
    assert cache.length == 12


def test_long_prompts_are_decoded_in_pieces(tiny, engine, monkeypatch):
    embeds = tiny.twin.embed(range(30, 50)).astype(np.float32)
    monkeypatch.setattr(_onnx_decoders, "CHUNK", 7)
    logits, cache = engine.decode(embeds, engine.empty_cache())
    np.testing.assert_allclose(logits, tiny.twin.logits(embeds), atol=1e-4)
    assert cache.length == 20


def test_branches_do_not_touch_each_other(tiny, engine):
    stem, left, right = (tiny.twin.embed(ids).astype(np.float32) for ids in ([5, 6, 7], [8, 9], [20]))
    _, cache = engine.decode(stem, engine.empty_cache())
    before = [tensor.numpy().copy() for tensor in cache.tensors]
    for branch in (left, right, left):
        logits, longer = engine.decode(branch, cache)
        np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([stem, branch])), atol=1e-4)
        assert (cache.length, longer.length) == (3, 3 + len(branch))
    for tensor, old in zip(cache.tensors, before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), old)


def test_large_vision_tower_is_let_go_after_each_image(tiny, page, monkeypatch):
    monkeypatch.setattr(engine_module, "_KEEP_VISION", 10)
    engine = open_engine(Bundle.load(tiny.folder), threads=1)
    assert engine._vision is None
    spec = Bundle.load(tiny.folder).manifest.inference.preprocess
    np.testing.assert_allclose(engine.vision(pixels(page, spec)), tiny.twin.features(page), atol=1e-5)
    assert engine._vision is None


def test_misuse_is_caught(engine):
    with pytest.raises(TypeError, match="another engine"):
        engine.decode(np.zeros((1, 16), np.float32), object())
    with pytest.raises(ValueError, match="at least one position"):
        engine.decode(np.zeros((0, 16), np.float32), engine.empty_cache())


def test_threads_below_one_are_refused(tiny):
    with pytest.raises(UserError, match="threads must be 1 or more, not 0"):
        open_engine(Bundle.load(tiny.folder), threads=0)


def test_provider_must_be_one_that_this_runtime_has(tiny):
    assert open_engine(Bundle.load(tiny.folder), provider="cpu").embed([1]).shape == (
        1,
        tiny.manifest["model"]["hidden_size"],
    )
    for unknown in ("cuda", "gpu"):
        with pytest.raises(UserError, match=f"provider {unknown} is not here; this ONNX Runtime has cpu"):
            open_engine(Bundle.load(tiny.folder), provider=unknown)


def test_graph_that_is_not_onnx_is_refused(tiny, variant):
    folder = variant()
    (folder / "decoder.onnx").write_bytes(b"not a graph")
    write_manifest(folder, tiny.manifest)
    with pytest.raises(UserError, match=r"decoder\.onnx: ONNX Runtime .* cannot load it"):
        open_engine(Bundle.load(folder))


def test_graph_with_other_inputs_is_refused(tiny, variant):
    folder = variant()
    graph = onnx.load(folder / "embed.onnx")
    graph.graph.input[0].name = graph.graph.node[0].input[1] = "tokens"
    onnx.save(graph, folder / "embed.onnx")
    write_manifest(folder, tiny.manifest)
    with pytest.raises(UserError, match=r"embed\.onnx: its inputs are not the format's \(input_ids, tokens\)"):
        open_engine(Bundle.load(folder))


def test_layer_count_of_the_manifest_must_be_the_graphs(variant):
    folder = variant(model={"layers": 3})
    with pytest.raises(UserError, match=r"decoder\.onnx: its inputs are not the format's \(past_key_2"):
        open_engine(Bundle.load(folder))


def test_vision_features_of_another_width_are_refused(variant, tiny, page):
    bundle = Bundle.load(variant(model={"hidden_size": 8}))
    with pytest.raises(UserError, match=r"vision\.onnx: features are \(1, 6, 16\), not \(1, T, 8\)"):
        open_engine(bundle).vision(pixels(page, bundle.manifest.inference.preprocess))


def test_hyper_threads_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    for cpu in range(4):
        topology = tmp_path / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{cpu // 2}\n")
    nothing = tmp_path / "none"
    assert cpus.usable_cores(tmp_path, nothing) == 2
    assert cpus.usable_cores(nothing, nothing) == 4


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1)])
def test_container_quota_caps_the_threads(tmp_path, monkeypatch, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert cpus.usable_cores(tmp_path / "none", tmp_path / "cpu.max") == cores


def test_systems_without_affinity_count_every_cpu(tmp_path, monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert cpus.usable_cores(tmp_path, tmp_path / "none") == 6


def test_a_target_of_a_later_version_is_one_line(tiny, tmp_path):
    shutil.copytree(tiny.folder, tmp_path / "b")
    write_manifest(tmp_path / "b", {**tiny.manifest, "target": "onnx-2030", "title": "what comes"})
    bundle = Bundle.load(tmp_path / "b")
    assert bundle.manifest.title == "what comes"
    with pytest.raises(UserError, match=r"target onnx-2030 is not one this version runs \(it runs .*onnx.*\); upgrade"):
        open_engine(bundle)


def test_helpers_of_the_engines_are_no_targets():
    assert all(not name.startswith(("-", "_")) for name in ENGINES.names())
    assert {"onnx", "executorch", "coreml", "coreai"} <= set(ENGINES.names())


def test_what_an_engine_needs_and_the_bundle_lacks_is_one_line(tiny, tmp_path):
    shutil.copytree(tiny.folder, tmp_path / "b")
    artifacts = {name: file for name, file in tiny.manifest["artifacts"].items() if name != "embed"}
    write_manifest(tmp_path / "b", {**tiny.manifest, "artifacts": artifacts})
    with pytest.raises(UserError, match="has no embed artifact; export it again"):
        open_engine(Bundle.load(tmp_path / "b"))
