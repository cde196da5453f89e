"""The Android engine against the desktop's: the same graphs, the same answers.

There is no Java here. `Bridge` stands in for pyjnius with the classes and signatures of ai.onnxruntime that the engine
uses, as its documentation gives them, and runs the graphs with the real ONNX Runtime; anything else is refused.
"""

from __future__ import annotations

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest

from edge_runtime import stateful
from edge_runtime.bundle import Bundle, bundle_folder, write_manifest
from edge_runtime.engines import _onnx_android, open_engine
from edge_runtime.errors import UserError
from edge_runtime.session import Session

TYPES = {"FLOAT": np.float32, "INT32": np.int32, "INT64": np.int64}


class Buffer:
    def __init__(self, raw):
        self.raw = bytes(raw)

    @staticmethod
    def wrap(raw):
        assert isinstance(raw, bytes)
        return Buffer(raw)

    def order(self, order):
        assert order == "native"
        return self

    def remaining(self):
        return len(self.raw)

    def get(self, target):
        assert isinstance(target, bytearray)
        target[:] = self.raw
        return self


class Tensor:
    alive = 0

    def __init__(self, array):
        self.array = array
        Tensor.alive += 1

    @staticmethod
    def createTensor(environment, buffer, shape, kind):
        assert environment is Environment.one
        assert all(type(side) is int and side > 0 for side in shape)
        return Tensor(np.frombuffer(buffer.raw, TYPES[kind]).reshape(shape).copy())

    def getByteBuffer(self):
        return Buffer(self.array.tobytes())

    def getInfo(self):
        return self

    def getShape(self):
        return list(self.array.shape)

    def close(self):
        Tensor.alive -= 1
        self.array = None


class Options:
    def setIntraOpNumThreads(self, count):
        assert count >= 1

    def setInterOpNumThreads(self, count):
        assert count == 1

    def setCPUArenaAllocator(self, use):
        assert use is False

    def setMemoryPatternOptimization(self, use):
        assert use is False

    def addConfigEntry(self, key, value):
        assert (key, value) == ("session.force_spinning_stop", "1")


class Environment:
    one = None

    @classmethod
    def getEnvironment(cls):
        cls.one = cls.one or cls()
        return cls.one

    def createSession(self, path, options):
        assert isinstance(path, str)
        assert isinstance(options, Options)
        return JavaSession(ort.InferenceSession(path, providers=["CPUExecutionProvider"]))


class JavaSession:
    def __init__(self, session):
        self.session = session

    def getInputNames(self):
        return self

    def toArray(self):
        return [node.name for node in self.session.get_inputs()]

    def run(self, inputs, wanted, pinned, options):
        assert options is None
        binding = self.session.io_binding()
        for name, tensor in inputs.items.items():
            a = tensor.array
            binding.bind_input(name, "cpu", 0, a.dtype.type, a.shape, a.ctypes.data)
        for name, tensor in pinned.items.items():
            a = tensor.array
            binding.bind_output(name, "cpu", 0, a.dtype.type, a.shape, a.ctypes.data)
        for name in wanted.items:
            binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding)
        names = [*pinned.items, *wanted.items]
        made = zip(names, binding.get_outputs(), strict=True)
        return Result({name: Tensor(value.numpy()) for name, value in made if name in wanted.items})


class Result:
    def __init__(self, values):
        self.values = values

    def get(self, name):
        return Optional(self.values[name])

    def close(self):
        for tensor in self.values.values():
            tensor.close()


class Optional:
    def __init__(self, value):
        self.value = value

    def get(self):
        return self.value


class Collection:
    def __init__(self):
        self.items = {}

    def put(self, key, value):
        self.items[key] = value

    def add(self, key):
        self.items[key] = True


CLASSES = {
    "ai.onnxruntime.OrtEnvironment": Environment,
    "ai.onnxruntime.OrtSession$SessionOptions": Options,
    "ai.onnxruntime.OnnxTensor": Tensor,
    "ai.onnxruntime.OnnxJavaType": type("OnnxJavaType", (), {name: name for name in TYPES}),
    "java.nio.ByteBuffer": Buffer,
    "java.nio.ByteOrder": type("ByteOrder", (), {"nativeOrder": staticmethod(lambda: "native")}),
    "java.util.HashMap": Collection,
    "java.util.LinkedHashSet": Collection,
}


@pytest.fixture
def android(monkeypatch):
    monkeypatch.setenv("ANDROID_ARGUMENT", "")
    monkeypatch.setitem(sys.modules, "jnius", SimpleNamespace(autoclass=CLASSES.__getitem__))


@pytest.fixture(scope="module")
def bound():
    """pulse-nano, whose decoder writes into a cache bound to it: what the exporter makes for ONNX Runtime."""
    return bundle_folder("pulse-nano")


def test_whole_conversation_is_the_same(android, bound, monkeypatch):
    page = (np.random.default_rng(0).random((300, 424)) * 255).astype(np.uint8)
    talks = []
    for on_android in (True, False):
        if not on_android:
            monkeypatch.delenv("ANDROID_ARGUMENT")
        session = Session.open(bound, threads=1)
        assert (type(session.engine).__name__ == "JavaEngine") is on_android
        seen = session.look(page)
        answers = [seen.ask(q, allow_non_ecg=True, max_new_tokens=12).finish() for q in (None, "What is the rhythm?")]
        talks.append(([a.token_ids for a in answers], [f.probability for f in seen.findings()], seen.is_ecg))
    assert talks[0][0] == talks[1][0]
    np.testing.assert_allclose(talks[0][1], talks[1][1], atol=1e-5)
    assert talks[0][2] == pytest.approx(talks[1][2], abs=1e-5)


def test_branches_growth_and_memory(android, bound, monkeypatch):
    monkeypatch.setattr(stateful, "_SLACK", 1)
    monkeypatch.setattr(_onnx_android, "_CHUNK", 3)
    engine = open_engine(Bundle.load(bound), threads=1)
    rows = engine.embed(range(20, 30))
    _, stem = engine.decode(rows[:4], engine.empty_cache())
    held = Tensor.alive
    left, _ = engine.decode(rows[4:6], stem)
    engine.decode(rows[6:], stem)
    again, longer = engine.decode(rows[4:6], stem)
    np.testing.assert_array_equal(left, again)
    assert (stem.length, longer.length) == (4, 6)
    assert Tensor.alive == held  # only the cache's tensors live on, however often they grew
    with pytest.raises(UserError, match="ask a shorter question"):
        engine.decode(np.zeros((1024, rows.shape[1]), np.float32), stem)


def test_an_int8_cache_is_refused(android, bound, tmp_path):
    folder = tmp_path / "b"
    shutil.copytree(bound, folder)
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()) | {"options": {"kv": "int8"}})
    with pytest.raises(UserError, match="export without --kv int8"):
        open_engine(Bundle.load(folder))


def test_wrong_use_is_refused(android, bound):
    with pytest.raises(UserError, match="threads"):
        open_engine(Bundle.load(bound), threads=0)
    engine = open_engine(Bundle.load(bound))
    with pytest.raises(TypeError, match="another engine"):
        engine.decode(np.zeros((1, 192), np.float32), object())
    with pytest.raises(ValueError, match="at least one"):
        engine.decode(np.zeros((0, 192), np.float32), engine.empty_cache())


def test_graph_whose_cache_is_joined_is_one_line(android, tiny):
    """It would start from a tensor without rows, which the Java library cannot make."""
    with pytest.raises(UserError, match=r"written in place \(last, total\)"):
        open_engine(Bundle.load(tiny.folder))


def test_graph_that_does_not_load_is_one_line(android, tiny, monkeypatch):
    monkeypatch.setattr(Environment, "createSession", lambda *args: 1 / 0)
    with pytest.raises(UserError, match="ONNX Runtime cannot load it"):
        open_engine(Bundle.load(tiny.folder))


def test_without_the_bridge_the_mend_is_named(tiny, monkeypatch):
    monkeypatch.setenv("ANDROID_ARGUMENT", "")
    with pytest.raises(UserError, match=r"pyjnius.*buildozer\.spec"):
        open_engine(Bundle.load(tiny.folder))
