"""The Core ML engine with packages made of numpy in Apple's place, and what it says where Core ML is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.engines.coreml import MASKED, STEP, CoreMLEngine
from edge_runtime.errors import UserError

WIDTH, CONTEXT, VOCAB = 16, 2048, 7


class Package:
    """Stands for one loaded package; decoders add up what their states hold where the mask is open."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.widest = 0

    def make_state(self) -> dict[str, np.ndarray]:
        return {"rows": np.zeros((CONTEXT, WIDTH))}

    def predict(self, data: dict[str, np.ndarray], state: Any = None) -> dict[str, np.ndarray]:
        if self.name == "vision":
            assert data["pixels"].shape[0] == 1
            return {"features": np.repeat(data["pixels"].mean((2, 3))[:, None], WIDTH, 2).astype(np.float16)}
        if self.name == "embed":
            assert data["input_ids"].dtype == np.int32
            self.widest = max(self.widest, data["input_ids"].shape[1])
            return {"embeds": np.repeat(data["input_ids"][..., None], WIDTH, 2).astype(np.float16)}
        rows, mask = data["embeds"][0], data["mask"]
        assert mask.shape[:2] == (1, 1)
        assert mask.shape[2] == len(rows) <= STEP
        assert set(np.unique(mask)) <= {0.0, np.float32(MASKED)}
        end = mask.shape[3]
        state["rows"][end - len(rows) : end] = rows
        seen = (mask[0, 0] == 0).astype(np.float64) @ state["rows"][:end]
        if self.name == "decoder_1":
            return {"logits": seen[-1:, :VOCAB]}
        return {"hidden": seen[None].astype(np.float32)}


@pytest.fixture
def coreml(variant: Callable[..., Path]) -> Bundle:
    """A bundle of target coreml whose decoder lies in two packages."""
    files = ("vision", "embed", "decoder_0", "decoder_1")
    folder = variant()
    for name in files:
        (folder / f"{name}.mlpackage").mkdir()
        (folder / f"{name}.mlpackage" / "Manifest.json").write_text("{}")
    for name in ("vision", "embed", "decoder"):
        (folder / f"{name}.onnx").unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["target"] = "coreml"
    manifest["artifacts"] = {name: f"{name}.mlpackage" for name in files} | {"tokenizer": "tokenizer.json"}
    write_manifest(folder, manifest)
    return Bundle.load(folder)


def test_packages_are_fed_as_the_format_says(coreml: Bundle) -> None:
    engine = CoreMLEngine(coreml, Package)
    features = engine.vision(np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1) * np.ones((1, 1, 4, 4), np.float32))
    assert features.dtype == np.float32
    assert np.array_equal(features[:, 0], [0, 1, 2])  # one tile after the other
    ids = list(range(STEP + 3))
    embeds = engine.embed(ids)
    assert np.array_equal(embeds[:, 0], ids)
    assert engine._embed.widest == STEP


def test_decoder_packages_follow_each_other_and_look_only_back(coreml: Bundle) -> None:
    engine = CoreMLEngine(coreml, Package)
    rows = np.random.default_rng(0).integers(0, 3, (STEP + 4, WIDTH)).astype(np.float32)
    # Sums of sums: what two layers that add up everything before them give.
    want = rows.cumsum(0).cumsum(0)
    logits, cache = engine.decode(rows[:3], engine.empty_cache())
    assert np.array_equal(logits, want[2, :VOCAB])
    assert cache.length == 3
    step, _ = engine.decode(rows[3:4], cache)
    assert np.array_equal(step, want[3, :VOCAB])
    again, _ = engine.decode(rows[3:5], cache)  # from the same cache once more
    assert np.array_equal(again, want[4, :VOCAB])
    long, cache = engine.decode(rows, engine.empty_cache())  # more than one call takes
    np.testing.assert_allclose(long, want[-1, :VOCAB], rtol=1e-3)
    assert cache.length == len(rows)


def test_elsewhere_it_says_how_the_bundle_is_verified(coreml: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(UserError, match=r"Apple devices only, and this is Linux; .*pulse-verify"):
        open_engine(coreml)


def test_on_a_mac_the_packages_go_to_coremltools(coreml: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    opened = []

    def load(path: str) -> Package:
        opened.append(Path(path).name)
        return Package(Path(path))

    models = SimpleNamespace(MLModel=load)
    monkeypatch.setitem(sys.modules, "coremltools", SimpleNamespace(models=models))
    engine = open_engine(coreml)
    assert opened == ["vision.mlpackage", "embed.mlpackage", "decoder_0.mlpackage", "decoder_1.mlpackage"]
    assert len(engine.decode(np.ones((2, WIDTH), np.float32), engine.empty_cache())[0]) == VOCAB

    def refuse(path: str) -> Package:
        raise RuntimeError("Error compiling model: too new")

    models.MLModel = refuse
    with pytest.raises(UserError, match=r"vision\.mlpackage: Core ML cannot load it .*too new"):
        open_engine(coreml)
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(UserError, match="pip install coremltools"):
        open_engine(coreml)
