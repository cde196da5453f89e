"""A LoRA folder made by PEFT, exported: each format's bundle gives the logits of the model that PEFT itself merges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.bundle import Bundle, write_manifest
from export.manifest import manifest_of
from export.options import Options
from export.target import Job, find
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.checkpoint.tokenizer import TOKENIZER
from quantize.load import load_model
from tests.exporting import engine_of
from tests.lora import BASE, trained

from .conftest import relative

IDS = [1, 7, 1900, 42, 365, 11]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, np.ndarray]:
    """The folder on its base, and the merged model's logits after IDS."""
    folder = tmp_path_factory.mktemp("lora") / "lora"
    merged = trained(folder, llava=False)
    with torch.inference_mode():
        return Checkpoint.open(folder, BASE), merged(torch.tensor([IDS])).logits[0, -1].numpy()


def by_torch(checkpoint: Checkpoint) -> np.ndarray:
    model = load_model(checkpoint).language_model
    return model(model.model.embed_tokens(torch.tensor([IDS])), ())[0][0].numpy()


def bundle_of(checkpoint: Checkpoint, name: str, folder: Path) -> Bundle:
    """What pulse-export writes, without the certificate of pages; no layer of the tower, which the adapter leaves."""
    target = find(name)
    options = Options(own=target.options())
    job = Job(checkpoint, checkpoint.config, "float32", options.own)
    model = load_model(checkpoint, "float32")
    del model.vision_tower.vision_model.encoder.layers[:]
    artifacts = target.write(job, model, folder)
    checkpoint.write_tokenizer(folder / TOKENIZER)
    artifacts = {**artifacts, "tokenizer": TOKENIZER}
    write_manifest(folder, manifest_of(checkpoint.config, checkpoint, target, "float32", artifacts, options))
    return Bundle.load(folder)


def test_torch(adapter: tuple[Checkpoint, np.ndarray]) -> None:
    checkpoint, wanted = adapter
    assert relative(by_torch(Checkpoint.open(BASE)), wanted) > 0.1
    assert relative(by_torch(checkpoint), wanted) < 1e-5


@pytest.mark.parametrize(
    ("target", "off"),
    [("onnx", 1e-5), pytest.param("executorch", 1e-5, marks=pytest.mark.slow), ("coreml", 5e-3)],
)
def test_bundle(target: str, off: float, adapter: tuple[Checkpoint, np.ndarray], tmp_path: Path) -> None:
    checkpoint, wanted = adapter
    engine = engine_of(bundle_of(checkpoint, target, tmp_path))
    logits, _ = engine.decode(engine.embed(IDS), engine.empty_cache())
    assert relative(logits, wanted) < off
