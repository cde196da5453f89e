"""The Core ML engine with packages made of numpy in Apple's place, and what it says where Core ML is not."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

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


# --- iOS: rubicon-objc in Apple's place, strict about names, types and what is a property -----------------------------

FLOAT16, FLOAT32, INT32 = 0x10000 | 16, 0x10000 | 32, 0x20000 | 32
DTYPES = {FLOAT16: np.float16, FLOAT32: np.float32, INT32: np.int32}


class Error:
    localizedDescription = "the model is too new"


class MultiArray:
    """Real memory; what the model hands out has a gap after each row, as Core ML's own arrays may."""

    def __init__(self, array: np.ndarray, kind: int, gap: int = 0) -> None:
        self.memory = np.zeros((*array.shape[:-1], array.shape[-1] + gap), DTYPES[kind])
        self.memory[..., : array.shape[-1]] = array
        self.dataType, self.shape = kind, list(array.shape)
        self.strides = [step // self.memory.itemsize for step in self.memory.strides]

    @property
    def dataPointer(self) -> int:
        return self.memory.ctypes.data

    @property
    def array(self) -> np.ndarray:
        return self.memory[..., : self.shape[-1]]

    @classmethod
    def alloc(cls) -> Any:
        def init(shape: list[int], *, dataType: int, error: Any) -> MultiArray:
            assert all(type(side) is int for side in shape)
            return cls(np.zeros(shape), dataType)

        return SimpleNamespace(initWithShape=init)


class AppleModel:
    """MLModel over the numpy packages above."""

    asked: ClassVar[list[str]] = []
    broken = ""

    def __init__(self, path: str) -> None:
        self.package = Package(Path(path))
        names = {"vision": ("pixels",), "embed": ("input_ids",)}.get(self.package.name, ("embeds", "mask"))
        outs = {"vision": "features", "embed": "embeds", "decoder_1": "logits"}
        kinds = {"input_ids": INT32, "pixels": FLOAT32}
        types = {n: SimpleNamespace(dataType=kinds.get(n, FLOAT16)) for n in names}
        self.modelDescription = SimpleNamespace(
            inputDescriptionsByName={n: SimpleNamespace(multiArrayConstraint=c) for n, c in types.items()},
            outputDescriptionsByName={outs.get(self.package.name, "hidden"): None},
        )

    @classmethod
    def compileModelAtURL(cls, url: str, *, error: Any) -> str | None:
        cls.asked.append(Path(url).name)
        return cls.fail(error) if cls.broken == "compile" else url

    @classmethod
    def modelWithContentsOfURL(cls, url: str, *, error: Any) -> AppleModel:
        return cls(url)

    @staticmethod
    def fail(error: Any) -> None:
        error._obj.value = 1

    def newState(self) -> dict[str, np.ndarray]:
        return self.package.make_state()

    def predictionFromFeatures(self, features: dict, *, error: Any, usingState: Any = None) -> Any:
        if self.broken == "run":
            return self.fail(error)
        kinds = {n: d.multiArrayConstraint.dataType for n, d in self.modelDescription.inputDescriptionsByName.items()}
        assert {name: value.dataType for name, value in features.items()} == kinds
        out = self.package.predict({name: value.array for name, value in features.items()}, usingState)
        made = {n: SimpleNamespace(multiArrayValue=MultiArray(a, FLOAT16, gap=3)) for n, a in out.items()}
        return SimpleNamespace(featureValueForName=made.__getitem__)


def provider(features: dict, *, error: Any) -> dict:
    return features


@pytest.fixture
def ios(monkeypatch: pytest.MonkeyPatch) -> type[AppleModel]:
    classes: dict[str, Any] = {
        "NSURL": SimpleNamespace(fileURLWithPath=lambda path: path),
        "MLModel": AppleModel,
        "MLMultiArray": MultiArray,
        "MLFeatureValue": SimpleNamespace(featureValueWithMultiArray=lambda array: array),
        "MLDictionaryFeatureProvider": SimpleNamespace(alloc=lambda: SimpleNamespace(initWithDictionary=provider)),
    }
    loaded: list[str] = []

    def objc_class(name: str) -> Any:
        assert name.startswith("NS") or loaded == ["CoreML"] * len(loaded) != []
        found = classes.setdefault(name, SimpleNamespace())
        if not hasattr(found, "declare_property"):
            found.declare_property = lambda name: None
        return found

    runtime = SimpleNamespace(load_library=loaded.append, autoreleasepool=nullcontext)
    objc = SimpleNamespace(
        ObjCClass=objc_class, ObjCInstance=lambda error: Error, objc_id=ctypes.c_void_p, py_from_ns=int, runtime=runtime
    )
    monkeypatch.setitem(sys.modules, "rubicon", SimpleNamespace(objc=objc))
    monkeypatch.setattr(AppleModel, "asked", [])
    monkeypatch.setattr(AppleModel, "broken", "")
    return AppleModel


def test_on_ios_apples_library_is_fed_and_read_as_on_a_mac(coreml: Bundle, ios: type[AppleModel]) -> None:
    engine, mac = open_engine(coreml, system="ios"), CoreMLEngine(coreml, Package)
    assert ios.asked == ["vision.mlpackage", "embed.mlpackage", "decoder_0.mlpackage", "decoder_1.mlpackage"]
    tiles = np.arange(2, dtype=np.float32).reshape(2, 1, 1, 1) * np.ones((1, 1, 4, 4), np.float32)
    np.testing.assert_array_equal(engine.vision(tiles), mac.vision(tiles))
    ids = list(range(STEP + 3))
    np.testing.assert_array_equal(engine.embed(ids), mac.embed(ids))
    rows = np.random.default_rng(0).integers(0, 3, (9, WIDTH)).astype(np.float32)
    answers = []
    for one in (engine, mac):
        first, cache = one.decode(rows[:5], one.empty_cache())
        second, _ = one.decode(rows[5:], cache)
        again, _ = one.decode(rows[5:6], cache)
        answers.append(np.stack([first, second, again]))
    np.testing.assert_array_equal(*answers)
    assert answers[0].dtype == np.float32


@pytest.mark.parametrize(("broken", "verb"), [("compile", "load"), ("run", "run")])
def test_on_ios_what_apple_says_is_one_line(coreml: Bundle, ios: type[AppleModel], broken: str, verb: str) -> None:
    ios.broken = broken
    with pytest.raises(UserError, match=rf"mlpackage: Core ML cannot {verb} it \('the model is too new'\); iOS 18"):
        open_engine(coreml, system="ios").embed([1])


def test_on_ios_without_the_bridge_the_fix_is_named(coreml: Bundle) -> None:
    with pytest.raises(UserError, match=r"rubicon-objc.*phones/ios\.sh"):
        open_engine(coreml, system="ios")
