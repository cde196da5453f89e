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

from edge_runtime import stateful
from edge_runtime.engines import _onnx_decoders
from edge_runtime.engines._onnx_decoders import BoundDecoder, JoiningDecoder, decoder_kind
from edge_runtime.engines.onnx import session_options
from edge_runtime.errors import UserError
from edge_runtime.inference import ModelSpec
from export.graph.parts import DecoderGraph, EmbedGraph, VisionGraph
from export.manifest import manifest_of
from export.target import find
from export.targets.onnx.graphs import write_graphs
from export.targets.onnx.pools import pad_partial_windows
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import Decoder
from pulse.model.llava import Llava
from quantize.checkpoint import quantize_checkpoint
from quantize.integers import unpack
from quantize.load import load_model
from quantize.precision import Precision

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module", params=["int4", "float32"])
def graphs(
    request: pytest.FixtureRequest, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    artifacts = write_graphs(load_model(checkpoint, request.param), checkpoint.config, request.param, folder)
    for name in artifacts.values():
        onnx.checker.check_model(folder / name)
    return request.param, folder


def session(folder: Path, name: str) -> ort.InferenceSession:
    return ort.InferenceSession(folder / f"{name}.onnx")


def test_a_graph_tells_nothing_of_the_machine_that_made_it(graphs: tuple[str, Path]) -> None:
    here = str(Path(__file__).parents[2]).encode()
    for path in graphs[1].glob("*.onnx"):
        written = path.read_bytes()
        assert here not in written
        assert b"stack_trace" not in written
        assert b"export.graph.parts" not in written


@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_vision(graphs: tuple[str, Path], checkpoint: Checkpoint, tiles: int) -> None:
    model, config = load_model(checkpoint, graphs[0]), checkpoint.config
    pixels = torch.randn(tiles, config.vision.in_channels, config.vision.height, config.vision.width)
    (features,) = session(graphs[1], "vision").run(None, {"pixels": pixels.numpy()})
    np.testing.assert_allclose(features, VisionGraph(model)(pixels).numpy(), **CLOSE)
    assert features.std() > 1e-2


@pytest.mark.parametrize(("height", "width", "pool", "pads"), [(12, 17, 3, 1), (11, 15, 3, 0), (9, 13, 2, 1)])
def test_the_windows_at_the_edge_are_padded_and_not_partial(
    height: int, width: int, pool: int, pads: int, tmp_path: Path
) -> None:
    class Pool(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(x, pool, ceil_mode=True, count_include_pad=False)

    x = torch.randn(2, 3, height, width)
    program = torch.onnx.export(Pool(), (x,), dynamo=True, opset_version=20, verbose=False)
    assert program is not None
    assert pad_partial_windows(program.model.graph) == 1
    program.save(tmp_path / "pool.onnx")
    (node,) = [node for node in onnx.load(tmp_path / "pool.onnx").graph.node if node.op_type == "AveragePool"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert "ceil_mode" not in attributes
    assert attributes["pads"][:2] == [0, 0]
    assert attributes["pads"][3] == pads
    (pooled,) = session(tmp_path, "pool").run(None, {"x": x.numpy()})
    np.testing.assert_allclose(pooled, Pool()(x).numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 6), (3, 2)])
def test_embed(graphs: tuple[str, Path], checkpoint: Checkpoint, batch: int, length: int) -> None:
    model, config = load_model(checkpoint, graphs[0]), checkpoint.config
    ids = torch.randint(config.text.vocab_size, (batch, length))
    (embeds,) = session(graphs[1], "embed").run(None, {"input_ids": ids.numpy()})
    assert np.array_equal(embeds, EmbedGraph(model)(ids).numpy())


def decoder(graphs: tuple[str, Path], checkpoint: Checkpoint) -> tuple[Llava, Decoder, BoundDecoder]:
    model, config = load_model(checkpoint, graphs[0]), checkpoint.config
    text, runtime = config.text, session(graphs[1], "decoder")
    spec = manifest_of(config, checkpoint, find("onnx"), graphs[0], {})["model"]
    assert decoder_kind(runtime) is BoundDecoder
    return model, text, BoundDecoder(runtime, ModelSpec(**{**spec, "eos_token_ids": ()}))


def want(model: Llava, text: Decoder, embeds: torch.Tensor) -> np.ndarray:
    empty = torch.zeros(1, text.num_key_value_heads, 0, text.head_dim)
    return DecoderGraph(model)(embeds[None], *[empty] * 2 * text.num_hidden_layers)[0][0].numpy()


@pytest.mark.parametrize("cuts", [[12], [1] * 4, [5, 1, 1, 4, 1], [1, 11]])
def test_steps_through_the_cache_equal_one_reading_of_the_whole(
    graphs: tuple[str, Path], checkpoint: Checkpoint, cuts: list[int]
) -> None:
    model, text, runtime = decoder(graphs, checkpoint)
    embeds, end, cache = torch.randn(12, text.hidden_size), 0, runtime.empty_cache()
    for size in cuts:
        logits, cache = runtime.decode(embeds[end : end + size].numpy(), cache)
        end += size
        assert cache.length == end
        np.testing.assert_allclose(logits, want(model, text, embeds[:end]), **CLOSE)


def test_a_full_cache_grows_and_keeps_what_it_holds(
    graphs: tuple[str, Path], checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stateful, "_SLACK", 1)
    monkeypatch.setattr(_onnx_decoders, "CHUNK", 7)
    model, text, runtime = decoder(graphs, checkpoint)
    embeds, cache = torch.randn(20, text.hidden_size), runtime.empty_cache()
    for start, end in [(0, 3), (3, 4), (4, 5), (5, 20)]:
        logits, cache = runtime.decode(embeds[start:end].numpy(), cache)
        np.testing.assert_allclose(logits, want(model, text, embeds[:end]), **CLOSE)


def test_branches_of_one_cache_do_not_mix(graphs: tuple[str, Path], checkpoint: Checkpoint) -> None:
    model, text, runtime = decoder(graphs, checkpoint)
    stem, left, right = (torch.randn(n, text.hidden_size) for n in (5, 3, 2))
    _, cache = runtime.decode(stem.numpy(), runtime.empty_cache())
    longer = {}
    for name, branch in (("left", left), ("right", right)):
        logits, longer[name] = runtime.decode(branch.numpy(), cache)
        np.testing.assert_allclose(logits, want(model, text, torch.cat([stem, branch])), **CLOSE)
    logits, _ = runtime.decode(right.numpy(), longer["left"])  # what the right branch overwrote
    np.testing.assert_allclose(logits, want(model, text, torch.cat([stem, left, right])), **CLOSE)


def test_positions_past_the_context_are_refused(graphs: tuple[str, Path], checkpoint: Checkpoint) -> None:
    _, text, runtime = decoder(graphs, checkpoint)
    most = text.max_position_embeddings
    _, cache = runtime.decode(np.zeros((most, text.hidden_size), np.float32), runtime.empty_cache())
    with pytest.raises(UserError, match=f"{most + 1} positions do not fit the model's {most}"):
        runtime.decode(np.zeros((1, text.hidden_size), np.float32), cache)


def test_integers_in_the_graphs_are_those_of_the_checkpoint(
    graphs: tuple[str, Path], checkpoint: Checkpoint, tmp_path: Path
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


@pytest.mark.parametrize("scheme", ["int4-g32", "int4-g32-asym", "int8"])
def test_qdq_is_standard_operators_with_the_checkpoints_integers(
    scheme: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "small", Precision(scheme, {"vision": 8}))
    stored = load_file(tmp_path / "small" / "model.safetensors")
    small = Checkpoint.open(tmp_path / "small")
    artifacts = write_graphs(load_model(small), small.config, "int4", tmp_path, style="qdq")
    found, types = set(), set()
    for name in artifacts.values():
        graph = onnx.load(tmp_path / name)
        onnx.checker.check_model(graph, full_check=True)
        assert [(o.domain, o.version) for o in graph.opset_import] == [("", 21)]
        weights = {t.name: t for t in graph.graph.initializer}
        for node in graph.graph.node:
            if node.op_type == "DequantizeLinear" and len((codes := weights[node.input[0]]).dims) == 2:
                types.add(codes.data_type)
                found.add(numpy_helper.to_array(codes).T.astype(np.int8).tobytes())
    packed = {n: t for n, t in stored.items() if n.endswith("weight_packed") and not n.startswith("vision")}
    bits = {n: t.shape[1] * 32 // int(stored[n.replace("_packed", "_shape")][1]) for n, t in packed.items()}
    assert len(packed) == 2 * 7 + 2
    assert types == {onnx.TensorProto.INT4 if b == 4 else onnx.TensorProto.INT8 for b in bits.values()}
    assert found == {unpack(t, bits[n]).numpy().tobytes() for n, t in packed.items()}

    model, config = load_model(small), small.config
    pixels = torch.randn(2, config.vision.in_channels, config.vision.height, config.vision.width)
    see = ort.InferenceSession(tmp_path / "vision.onnx", session_options(1))
    (features,) = see.run(None, {"pixels": pixels.numpy()})
    np.testing.assert_allclose(features, VisionGraph(model)(pixels).numpy(), **CLOSE)
    runtime = ort.InferenceSession(tmp_path / "decoder.onnx", session_options(1))
    spec = manifest_of(config, checkpoint, find("onnx"), "int4", {})["model"]
    assert decoder_kind(runtime) is JoiningDecoder
    joined = JoiningDecoder(runtime, ModelSpec(**{**spec, "eos_token_ids": ()}))
    embeds, end, cache = torch.randn(12, config.text.hidden_size), 0, joined.empty_cache()
    for size in (5, 1, 6):
        logits, cache = joined.decode(embeds[end : end + size].numpy(), cache)
        end += size
        np.testing.assert_allclose(logits, want(model, config.text, embeds[:end]), **CLOSE)


def test_nf4_has_no_standard_operators(checkpoint: Checkpoint, tmp_path: Path) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "nf4", Precision("nf4"))
    nf4 = Checkpoint.open(tmp_path / "nf4")
    with pytest.raises(UserError, match="nf4 weights have no DequantizeLinear; leave out --onnx-style qdq"):
        write_graphs(load_model(nf4), nf4.config, "nf4", tmp_path, style="qdq")


def test_quantizing_on_the_way_gives_the_integers_of_pulse_quantize(checkpoint: Checkpoint, tmp_path: Path) -> None:
    quantize_checkpoint(checkpoint, tmp_path / "int4")
    before = load_model(Checkpoint.open(tmp_path / "int4"))
    on_the_way = load_model(checkpoint, "int4")
    want, got = before.state_dict(), on_the_way.state_dict()
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)
