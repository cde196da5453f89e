"""A checkpoint of a few thousand random weights, complete with tokenizer, and a page to look at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import decoders, models, pre_tokenizers

from pulse.checkpoint.checkpoint import Checkpoint
from pulse.model.config import Config, Decoder
from pulse.model.llava import Llava
from pulse.model.towers.conv import ConvVision
from tests.exporting import export
from tests.inference import inference_of


def config(hidden_size: int = 64) -> Config:
    text = Decoder(
        vocab_size=300,
        hidden_size=hidden_size,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
    )
    vision = ConvVision(height=64, width=96, channels=(8, 16, 32), blocks=(0, 1, 1), pool=2)
    return Config(vision, text, inference_of(text), name="tiny")


def relative(got: np.ndarray, want: np.ndarray) -> float:
    """Norm of the difference over the norm of what is wanted."""
    assert got.shape == want.shape
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def random_checkpoint(folder: Path, config: Config) -> Checkpoint:
    """A float checkpoint in `folder`. Weights are large enough that logits differ from token to token."""
    folder.mkdir()
    torch.manual_seed(0)
    model = Llava(config)
    state = {
        name: (t * 3 if t.ndim == 2 else t).detach().half().float().contiguous()
        for name, t in model.state_dict().items()
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_json()))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate(["<s>", "</s>", *alphabet])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return Checkpoint.open(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A small one that every file here uses."""
    return random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny", config())


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """One as wide as large models are, where speed is bound by the weights."""
    return random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "wide", config(hidden_size=1024))


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two pictures with different content."""
    folder = tmp_path_factory.mktemp("pages")
    draw = np.random.default_rng(0)
    paths = []
    for i in range(2):
        path = folder / f"page{i}.png"
        Image.fromarray(draw.integers(0, 256, (120, 200, 3), np.uint8)).save(path)
        paths.append(path)
    return paths


@pytest.fixture(scope="session")
def bundle(checkpoint: Checkpoint, pages: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as ONNX with 4 bits, certified; never changed; files about other targets have their own."""
    out = tmp_path_factory.mktemp("bundles") / "tiny-int4"
    certificate, _ = export(checkpoint, "onnx", "int4", out, pages)
    assert certificate.status == "pass"
    return out
