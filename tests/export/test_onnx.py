"""The three graphs against torch: every length, cache included, and the integers inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file

from export.graphs import DecoderGraph, EmbedGraph, VisionGraph
from export.onnx import write_graphs
from quantize.checkpoint import quantize_checkpoint
from quantize.integers import unpack
from quantize.load import load_model

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", params=["int4", "float32"])
def graphs(
    request: pytest.FixtureRequest, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    artifacts = write_graphs(*load_model(checkpoint, request.param), request.param, folder)
    for name in artifacts.values():
        onnx.checker.check_model(folder / name)
    return request.param, folder


def session(folder: Path, name: str) -> ort.InferenceSession:
    return ort.InferenceSession(folder / f"{name}.onnx")


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_vision(graphs: tuple[str, Path], checkpoint: Path, tiles: int) -> None:
    model, config = load_model(checkpoint, graphs[0])
    pixels = torch.randn(tiles, config.vision.in_channels, config.vision.height, config.vision.width)
    (features,) = session(graphs[1], "vision").run(None, {"pixels": pixels.numpy()})
    np.testing.assert_allclose(features, VisionGraph(model)(pixels).numpy(), **CLOSE)
    assert features.std() > 1e-2


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 6), (3, 2)])
def test_embed(graphs: tuple[str, Path], checkpoint: Path, batch: int, length: int) -> None:
    model, config = load_model(checkpoint, graphs[0])
    ids = torch.randint(config.text.vocab_size, (batch, length))
    (embeds,) = session(graphs[1], "embed").run(None, {"input_ids": ids.numpy()})
    assert np.array_equal(embeds, EmbedGraph(model)(ids).numpy())


@pytest.mark.parametrize(("batch", "new", "cached"), [(1, 7, 0), (1, 1, 0), (1, 1, 9), (1, 1, 1), (1, 5, 3), (2, 4, 6)])
def test_decoder(graphs: tuple[str, Path], checkpoint: Path, batch: int, new: int, cached: int) -> None:
    model, config = load_model(checkpoint, graphs[0])
    text = config.text
    embeds = torch.randn(batch, new, text.hidden_size)
    shape = (batch, text.num_key_value_heads, cached, text.head_dim)
    past = [torch.randn(shape) for _ in range(2 * text.num_hidden_layers)]
    names = [f"past_{kind}_{i}" for i in range(text.num_hidden_layers) for kind in ("key", "value")]
    feed = {"embeds": embeds.numpy(), **{n: t.numpy() for n, t in zip(names, past, strict=True)}}
    runtime = session(graphs[1], "decoder")
    assert [node.name for node in runtime.get_inputs()] == list(feed)
    assert [node.name for node in runtime.get_outputs()] == ["logits", *(n.replace("past", "present") for n in names)]
    got, want = runtime.run(None, feed), DecoderGraph(model)(embeds, *past)
    assert got[0].shape == (batch, text.vocab_size)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w.numpy(), **CLOSE)


def test_steps_through_the_cache_equal_one_reading_of_the_whole(graphs: tuple[str, Path], checkpoint: Path) -> None:
    model, config = load_model(checkpoint, graphs[0])
    text = config.text
    embeds = torch.randn(1, 12, text.hidden_size)
    empty = torch.zeros(1, text.num_key_value_heads, 0, text.head_dim)
    runtime = session(graphs[1], "decoder")
    names = [node.name for node in runtime.get_inputs()][1:]
    cache = [empty.numpy()] * len(names)
    for start, end in [(0, 5), (5, 6), (6, 7), (7, 11), (11, 12)]:
        feed = {"embeds": embeds[:, start:end].numpy(), **dict(zip(names, cache, strict=True))}
        logits, *cache = runtime.run(None, feed)
        want = DecoderGraph(model)(embeds[:, :end], *[empty] * len(names))[0]
        np.testing.assert_allclose(logits, want.numpy(), **CLOSE)


def test_integers_in_the_graphs_are_those_of_the_checkpoint(
    graphs: tuple[str, Path], checkpoint: Path, tmp_path: Path
) -> None:
    if graphs[0] != "int4":
        nodes = [
            node.op_type for name in ("vision", "decoder") for node in onnx.load(graphs[1] / f"{name}.onnx").graph.node
        ]
        assert "MatMulNBits" not in nodes
        return
    quantize_checkpoint(checkpoint, tmp_path / "int4")
    stored = load_file(tmp_path / "int4" / "model.safetensors")
    found = set()
    for name in ("vision", "decoder"):
        graph = onnx.load(graphs[1] / f"{name}.onnx").graph
        weights = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        for node in graph.node:
            if node.op_type == "MatMulNBits":
                packed = weights[node.input[1]]
                codes = np.stack([packed & 0xF, packed >> 4], -1).reshape(packed.shape[0], -1).astype(np.int8) - 8
                found.add(codes.tobytes())
    packed = [t for n, t in stored.items() if n.endswith("weight_packed")]
    assert len(packed) == 2 * 7 + 2  # q k v o gate up down in two layers, and the projector's two
    assert found == {unpack(t, 4).numpy().tobytes() for t in packed}


def test_quantizing_on_the_way_gives_the_integers_of_pulse_quantize(checkpoint: Path, tmp_path: Path) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "int4")
    before, _ = load_model(tmp_path / "int4")
    on_the_way, _ = load_model(checkpoint, "int4")
    want, got = before.state_dict(), on_the_way.state_dict()
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)
