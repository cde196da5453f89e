"""Core ML packages of a decoder that is too large for one, and of a CLIP tower."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export.graph.parts import layer_chunks
from export.mil import MilModel
from export.targets.coreml.packages import write_graphs
from pulse.model.config import Config, Decoder
from pulse.model.engine import TorchEngine
from pulse.model.llava import Llava
from pulse.model.towers.clip import ClipVision
from quantize.load import quantize_model
from tests.inference import inference_of

from .conftest import relative


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
    config = Config(vision, text, inference_of(text), name="clip")
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
