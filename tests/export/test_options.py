"""Fewer tiles, merged tokens and an int8 cache: what the manifest records, how many tokens remain, what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from edge_runtime import image
from edge_runtime.anyres import pooled
from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.errors import UserError
from edge_runtime.preprocess import pack_image_tokens, pixels
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export import verify_cli
from export.certificate.bundle import certificate_of
from export.certificate.certify import Certificate
from export.cli import main
from export.graph.kv import kv_scales
from export.options import Options, with_options
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import Config
from quantize.load import load_model
from tests.exporting import export
from tests.golden import CASES, GOLDEN, case

from .conftest import config as tiny

PAGE = GOLDEN / "images" / "small_400x300.png"
# Tiles that PULSE's own code cuts each page into (the golden cases), and what is left of them with fewer allowed.
TILES = {
    "small_one": {None: 3, 5: 3, 4: 3, 3: 3, 1: 1},
    "page_two": {None: 5, 5: 5, 4: 3, 3: 3, 1: 1},  # 1008x336 keeps no more of it than 672x336
    "portrait_one": {None: 4, 5: 4, 4: 4, 3: 3, 1: 1},
    "wide_two": {None: 4, 5: 4, 4: 4, 3: 3, 1: 1},
}


def golden_config(model: str = "a") -> Config:
    return Checkpoint.open(GOLDEN / model / "checkpoint").config


@pytest.mark.parametrize("merge", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_visual_tokens_are_576_a_tile_over_the_block(name: str, merge: int) -> None:
    golden = case("a", name)
    picture = image.load(GOLDEN / "images" / str(golden["image_file"]))
    for tiles, left in TILES[name].items():
        config = with_options(golden_config(), Options(tiles, merge))
        spec = config.inference.preprocess
        found = len(pixels(picture, spec))
        tokens = pack_image_tokens(
            np.zeros((found * 576, 2), np.float32), found, picture.size, spec, lambda: np.zeros(2)
        )
        assert (found, len(tokens)) == (left, left * 576 // merge**2)
        if tiles is None and merge == 1:
            assert len(tokens) == int(golden["n_visual_tokens"])


def test_a_merged_token_is_the_mean_of_its_block() -> None:
    features = torch.randn(3, 24, 24, 5)
    want = F.avg_pool2d(features.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1).reshape(-1, 5)
    np.testing.assert_allclose(pooled(features.reshape(-1, 5).numpy(), 3, 2), want.numpy(), atol=1e-6)


def test_one_unpadded_tile_is_closed_by_the_newline() -> None:
    spec = with_options(golden_config("unpad"), Options(1)).inference.preprocess
    features = np.arange(576 * 2, dtype=np.float32).reshape(-1, 2)
    tokens = pack_image_tokens(features, 1, (400, 300), spec, lambda: np.array([-1.0, -2.0]))
    assert np.array_equal(tokens, np.concatenate([features, [[-1, -2]]]))


def test_the_defaults_change_nothing() -> None:
    config = golden_config()
    assert with_options(config, Options()).inference == config.inference
    assert Options().as_json() == {}


def test_a_bundle_with_fewer_and_merged_tokens_is_certified_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Checkpoint.open(GOLDEN / "a" / "checkpoint")
    certificate, folder = export(source, "onnx", "float32", tmp_path / "b", [PAGE], tiles=1, merge_tokens=2)
    assert certificate.status == "pass"
    assert json.loads((folder / "manifest.json").read_text())["options"] == {"tiles": 1, "merge_tokens": 2}
    session = Session.open(folder, threads=1)
    before = session.prompt.before_image()
    assert session.look(PAGE)._prefix.length == len(before) + 144
    # A manifest that is silent about the merging shows another picture than it records.
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["preprocess"]["pool"]
    write_manifest(folder, manifest)
    assert certificate_of(Bundle.load(folder), source, [PAGE]).first_diverging_stage == "first_logits"
    manifest["options"] = {"speed": 2}
    write_manifest(folder, manifest)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / PAGE.name).write_bytes(PAGE.read_bytes())
    argv = [str(folder), "--model", str(source.folder), "--pages", str(tmp_path / "pages")]
    assert verify_cli.main(argv) == 2
    assert "option speed is not one this version knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tiles": 2}, "have 1, 3, 4, 5 tiles"),
        ({"tiles": 0}, "have 1, 3, 4, 5 tiles"),
        ({"merge_tokens": 5}, "24x24 tokens do not divide"),
        ({"merge_tokens": 0}, "24x24 tokens do not divide"),
    ],
)
def test_numbers_the_tiles_do_not_allow(options: Mapping[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        with_options(golden_config(), Options(**options))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--target", "onnx", "--tiles", "3"], "looks at one tile only"),
        (["--target", "onnx", "--merge-tokens", "2"], "no grid of patches"),
        (["--target", "onnx", "--onnx-style", "qdq", "--kv", "int8"], "--kv int8 goes with --target onnx"),
        (["--target", "executorch", "--kv", "int8"], "--kv int8 goes with --target onnx"),
        (["--target", "coreml", "--kv", "int8"], "--kv int8 goes with --target onnx"),
        (["--target", "executorch", "--exact"], "--exact goes with --target onnx, not executorch"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    argv: list[str], said: str, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint.folder), *argv, "--out", str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len([line for line in error.splitlines() if not line.startswith("exporting ")]) == 1
    assert not (tmp_path / "b").exists()


def test_a_page_whose_tokens_do_not_divide_is_refused() -> None:
    spec = dataclasses.replace(golden_config().inference.preprocess, pool=2)
    with pytest.raises(UserError, match="a tile has 35 tokens"):
        pack_image_tokens(np.zeros((70, 2), np.float32), 2, (9, 9), spec, lambda: np.zeros(2))


@pytest.fixture(scope="module")
def int8(
    checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Certificate, Path]:
    out = tmp_path_factory.mktemp("int8") / "b"
    return export(checkpoint, "onnx", "float32", out, pages, kv="int8")


def test_int8_keys_and_values_are_certified(int8: tuple[Certificate, Path]) -> None:
    certificate, folder = int8
    assert certificate.status == "pass"
    errors = {stage.stage: stage.error for stage in certificate.stages}
    assert errors["vision_features"] < 3e-4
    assert errors["decoder_steps"] < 1e-5  # every step is that of an int8 cache
    assert certificate.cost.logits_mean > 3e-4 * certificate.cost.logits_size  # which costs something
    assert json.loads((folder / "manifest.json").read_text())["options"] == {"kv": "int8"}


def test_an_int8_cache_is_a_quarter_and_as_long_as_the_request(int8: tuple[Certificate, Path]) -> None:
    engine = open_engine(Bundle.load(int8[1]), threads=1)
    _, cache = engine.decode(np.zeros((70, 64), np.float32), engine.empty_cache())
    engine.decode(np.zeros((1, 64), np.float32), cache)
    found = {(tensor.data_type(), tuple(tensor.shape())) for tensor in engine._decoder._tensors}
    assert found == {("tensor(int8)", (1, 2, 70 + 128, 16))}


def test_a_wrong_scale_of_the_cache_fails(
    int8: tuple[Certificate, Path], checkpoint: Checkpoint, pages: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    shutil.copytree(int8[1], folder)
    model = onnx.load(folder / "decoder.onnx")
    scale = next(t for t in model.graph.initializer if "kv_scales.1" in t.name)
    scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) / 16, scale.name))
    onnx.save(model, folder / "decoder.onnx")
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    assert certificate_of(Bundle.load(folder), checkpoint, pages).first_diverging_stage == "decoder_steps"


def test_scales_bound_keys_at_every_position(checkpoint: Checkpoint, pages: list[Path]) -> None:
    model, config = load_model(checkpoint, "float32"), checkpoint.config
    assert config == tiny()
    scales = kv_scales(model, config, Tokenizer(checkpoint.folder / "tokenizer.json"), pages)
    assert [tuple(s.shape) for s in scales] == [(1, 2, 1, 16)] * 4
    for key in scales[0::2]:  # the two channels that a position turns into each other share their scale
        assert torch.equal(key[..., :8], key[..., 8:])
    assert not torch.equal(scales[1][..., :8], scales[1][..., 8:])
