"""The ExecuTorch engine by itself: caches as values over a program that has one, and machines that cannot run it.

A stand-in program with position-indexed buffers computes with the numpy twin, so an answer from the wrong history shows
at once. tests/export/test_executorch.py runs real programs.
"""

from __future__ import annotations

import copy
import json
import shutil
import sys
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, write_manifest
from edge_runtime.engines import open_engine
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.preprocess import pixels
from edge_runtime.session import Session

torch = pytest.importorskip("torch")
CONTEXT, MOST = 96, 10


class Program:
    """What portable_lib would load: text_decoder writes one buffer and looks at all up to its last position."""

    def __init__(self, twin, context=CONTEXT):
        self.twin, self.context = twin, context
        self.buffers = {}  # by what shares them
        self.calls: list[tuple[int, int]] = []  # (first position, positions) of each text_decoder call
        self.fail_at: int | None = None
        self.methods = {
            "vision_encoder": self.see,
            "token_embedding": lambda ids: self.twin.embed(ids[0].tolist())[None],
            "text_decoder": self.decode,
            "get_max_seq_len": lambda: MOST,
            "get_max_context_len": lambda: self.context,
        }

    def load(self, path):
        """A program whose methods share one memory, as ExecuTorch's Python runtime has it: each writes over it."""
        memory = object()
        return SimpleNamespace(load_method=lambda name: self.load_method(name, memory))

    def load_method(self, name, memory):
        def call(inputs):
            assert all(isinstance(x, torch.Tensor) for x in inputs)
            self.buffer = self.buffers.setdefault(memory, np.full((CONTEXT, 16), np.nan))
            result = self.methods[name](*(x.numpy() for x in inputs))
            if name != "text_decoder":
                self.buffer[:] = np.nan
            return [result if isinstance(result, int) else torch.from_numpy(np.asarray(result, np.float32))]

        return SimpleNamespace(call=call)

    def see(self, tiles):
        assert tiles.shape[0] == 1
        return self.twin.features((tiles[0, 0].astype(np.float64) * 0.25 + 0.5) * 255)[None]

    def decode(self, embeds, positions):
        assert 1 <= len(positions) <= MOST
        self.calls.append((int(positions[0]), len(positions)))
        self.buffer[positions] = embeds[0]
        if self.fail_at is not None and positions[-1] >= self.fail_at:
            raise RuntimeError("out of memory\nmore")
        return self.twin.logits(self.buffer[: positions[-1] + 1])[None, None]


@pytest.fixture
def folder(tiny, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    shutil.copyfile(tiny.folder / "tokenizer.json", folder / "tokenizer.json")
    (folder / "model.pte").write_bytes(b"a program")
    (folder / "delegation.json").write_text(json.dumps({"backend": "XnnpackBackend"}))
    manifest = copy.deepcopy(tiny.manifest) | {"target": "executorch"}
    manifest["artifacts"] = {"program": "model.pte", "delegation": "delegation.json", "tokenizer": "tokenizer.json"}
    write_manifest(folder, manifest)
    return folder


@pytest.fixture
def program(tiny):
    return Program(tiny.twin)


@pytest.fixture
def runtime(program, monkeypatch):
    runtime = SimpleNamespace(
        threads=None,
        _is_available=lambda name: name == "XnnpackBackend",
        _load_program=program.load,
        _unsafe_reset_threadpool=lambda threads: setattr(runtime, "threads", threads),
    )
    monkeypatch.setitem(sys.modules, "executorch.extension.pybindings", SimpleNamespace(portable_lib=runtime))
    return runtime


@pytest.fixture
def engine(folder, runtime):
    return open_engine(Bundle.load(folder))


def embeds_of(tiny, ids):
    return tiny.twin.embed(ids).astype(np.float32)


@pytest.mark.parametrize("cuts", [[12], [1, 11], [5, 1, 6], [1] * 12])
def test_any_split_of_a_sequence_gives_the_same_logits(tiny, engine, program, cuts):
    embeds = embeds_of(tiny, range(40, 52))
    cache, start = engine.empty_cache(), 0
    for size in cuts:
        engine.embed([7])  # which must not touch the cache
        logits, cache = engine.decode(embeds[start : start + size], cache)
        start += size
        np.testing.assert_allclose(logits, tiny.twin.logits(embeds[:start]), atol=1e-3)
    assert cache.length == 12
    assert sum(count for _, count in program.calls) == 12


def test_going_back_to_a_prefix_decodes_nothing_again(tiny, engine, program):
    stem, *branches = (embeds_of(tiny, ids) for ids in ([5, 6, 7], [8, 9], [20], [8, 9, 30]))
    _, cache = engine.decode(stem, engine.empty_cache())
    for branch in branches:
        logits, _ = engine.decode(branch, cache)
        np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([stem, branch])), atol=1e-3)
    assert program.calls == [(0, 3), (3, 2), (3, 1), (3, 3)]


def test_an_overwritten_branch_is_written_again_from_where_they_part(tiny, engine, program):
    stem, left, more, right, end = (embeds_of(tiny, ids) for ids in ([5, 6], [8, 9], [10], [20, 21, 22], [30]))
    _, prefix = engine.decode(stem, engine.empty_cache())
    _, cache = engine.decode(left, prefix)
    _, answer = engine.decode(more, cache)
    engine.decode(right, prefix)
    program.calls.clear()
    logits, _ = engine.decode(end, answer)
    np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([stem, left, more, end])), atol=1e-3)
    assert program.calls == [(2, 4)]


def test_any_order_of_branches_answers_from_its_own_history(tiny, engine):
    draw = np.random.default_rng(0)
    histories = [(np.zeros((0, 16), np.float32), engine.empty_cache())]
    for _ in range(60):
        past, cache = histories[draw.integers(len(histories))]
        new = embeds_of(tiny, draw.integers(2, 200, draw.integers(1, 4)).tolist())
        logits, after = engine.decode(new, cache)
        np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([past, new])), atol=1e-3)
        histories.append((np.concatenate([past, new]), after))
        assert after.length == len(histories[-1][0])


def test_long_prompts_are_decoded_in_pieces(tiny, engine, program):
    embeds = embeds_of(tiny, range(30, 55))
    logits, cache = engine.decode(embeds, engine.empty_cache())
    np.testing.assert_allclose(logits, tiny.twin.logits(embeds), atol=1e-3)
    assert (cache.length, program.calls) == (25, [(0, 10), (10, 10), (20, 5)])
    np.testing.assert_allclose(engine.embed(range(30, 55)), embeds, atol=1e-6)


def test_what_the_caller_does_to_its_array_later_does_not_matter(tiny, engine):
    stem, left, right, end = (embeds_of(tiny, ids) for ids in ([5, 6], [8], [9], [10]))
    _, prefix = engine.decode(stem, engine.empty_cache())
    scratch = left.copy()
    _, cache = engine.decode(scratch, prefix)
    scratch[:] = 0
    engine.decode(right, prefix)
    logits, _ = engine.decode(end, cache)
    np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([stem, left, end])), atol=1e-3)


def test_a_call_that_stops_half_way_leaves_no_false_history(tiny, engine, program):
    stem, rest = embeds_of(tiny, [5, 6]), embeds_of(tiny, range(40, 60))
    _, cache = engine.decode(stem, engine.empty_cache())
    program.fail_at = 15
    with pytest.raises(UserError, match=r"ExecuTorch stopped .*out of memory"):
        engine.decode(rest, cache)
    program.fail_at = None
    logits, _ = engine.decode(rest, cache)
    np.testing.assert_allclose(logits, tiny.twin.logits(np.concatenate([stem, rest])), atol=1e-3)


def test_a_session_answers_as_the_twin_does(tiny, folder, runtime, page):
    session = Session.open(folder)
    look = session.look(page)
    answer = look.ask("normal?", max_new_tokens=5).finish()
    prompt = tiny.prompt(page, "normal?")
    want = tiny.twin.greedy(prompt, 5)
    assert answer.token_ids == want[: len(answer.token_ids)]
    assert answer.token_ids
    yes, no = (tiny.twin.log_probability(prompt, tiny.ids(word)) for word in ("Yes", "No"))
    assert answer.findings[0].probability == pytest.approx(1 / (1 + np.exp(no - yes)), abs=1e-4)


def test_tiles_go_in_one_by_one(tiny, folder, engine, page):
    spec = Bundle.load(folder).manifest.inference.preprocess
    tiles = np.concatenate([pixels(p, spec) for p in (page, 255 - page)])
    both = np.concatenate([tiny.twin.features(page), tiny.twin.features(255 - page)])
    np.testing.assert_allclose(engine.vision(tiles), both, atol=1e-3)


def test_misuse_is_caught(tiny, engine, folder):
    embeds = embeds_of(tiny, [5])
    with pytest.raises(TypeError, match="another engine"):
        engine.decode(embeds, SimpleNamespace(length=0))
    with pytest.raises(TypeError, match="another engine"):
        engine.decode(embeds, open_engine(Bundle.load(folder)).empty_cache())
    with pytest.raises(ValueError, match="at least one position"):
        engine.decode(embeds[:0], engine.empty_cache())
    with pytest.raises(UserError, match="97 positions do not fit"):
        engine.decode(embeds_of(tiny, [5] * (CONTEXT + 1)), engine.empty_cache())


def test_threads_are_handed_on_and_those_below_one_refused(folder, runtime):
    open_engine(Bundle.load(folder), threads=3)
    assert runtime.threads == 3
    with pytest.raises(UserError, match="threads must be 1 or more, not 0"):
        open_engine(Bundle.load(folder), threads=0)
    with pytest.raises(UserError, match="what runs target executorch has no execution providers"):
        open_engine(Bundle.load(folder), provider="cpu")


def test_missing_runtime_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch.extension.pybindings", None)
    with pytest.raises(CannotRunHere, match=r"pip install pulse-edge\[targets\]"):
        open_engine(Bundle.load(folder))


@pytest.mark.usefixtures("runtime")
def test_a_delegate_of_other_machines_is_named(folder, tiny):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "delegation.json").write_text(json.dumps({"backend": "CoreMLBackend"}))
    write_manifest(folder, manifest)
    with pytest.raises(CannotRunHere, match="CoreMLBackend cannot run on this machine"):
        open_engine(Bundle.load(folder))
    (folder / "delegation.json").write_text("[]")
    write_manifest(folder, manifest)
    with pytest.raises(UserError, match="does not say which delegate"):
        open_engine(Bundle.load(folder))


@pytest.mark.usefixtures("runtime")
def test_context_must_be_the_manifests(folder, program):
    program.context = 64
    with pytest.raises(UserError, match="holds 64 positions, not the manifest's 96"):
        open_engine(Bundle.load(folder))


def test_a_file_that_is_no_program_is_refused(folder):
    pytest.importorskip("executorch")
    with pytest.raises(UserError, match=r"model\.pte: ExecuTorch cannot load it"):
        open_engine(Bundle.load(folder))


class Direct:
    """java.nio.ByteBuffer as far as it is used."""

    def __init__(self, size):
        self.size, self.raw = size, b""

    def order(self, order):
        assert order == "native"
        return self

    def put(self, raw):
        assert isinstance(raw, bytes)
        assert len(raw) == self.size
        self.raw = raw

    def rewind(self):
        return self

    def asFloatBuffer(self):
        return np.frombuffer(self.raw, np.float32)

    def asLongBuffer(self):
        return np.frombuffer(self.raw, np.int64)


@pytest.fixture
def android(monkeypatch, program):
    """org.pytorch.executorch by the signatures of its source, over the stand-in program."""

    class Value:
        def __init__(self, held):
            self.held = held

        def toInt(self):
            assert isinstance(self.held, int)
            return self.held

        def toTensor(self):
            return self

        def getDataAsFloatArray(self):
            return self.held.reshape(-1).tolist()

        def shape(self):
            return list(self.held.shape)

    class Module:
        opened: ClassVar[list[tuple[int, ...]]] = []

        @classmethod
        def load(cls, path, *mode):
            assert path.endswith("model.pte")
            assert mode == () or (mode[0] == 0 and mode[1] >= 1)
            cls.opened.append(mode)
            return cls()

        def execute(self, name, *values):
            (result,) = program.load_method(name, name).call([torch.from_numpy(v.held.copy()) for v in values])
            return [Value(result if isinstance(result, int) else result.numpy())]

    evalue = type("EValue", (), {"from": staticmethod(Value)})
    tensor = SimpleNamespace(fromBlob=lambda data, shape: data.reshape(shape))
    classes = {
        "java.nio.ByteBuffer": SimpleNamespace(allocateDirect=Direct),
        "java.nio.ByteOrder": SimpleNamespace(nativeOrder=lambda: "native"),
        "org.pytorch.executorch.Module": Module,
        "org.pytorch.executorch.Tensor": tensor,
        "org.pytorch.executorch.EValue": evalue,
    }
    monkeypatch.setenv("ANDROID_ARGUMENT", "")
    monkeypatch.setitem(sys.modules, "jnius", SimpleNamespace(autoclass=classes.__getitem__))
    return Module


def test_android_answers_like_the_desktop(android, tiny, folder, page):
    session = Session.open(folder, threads=2)
    assert type(session.engine).__name__ == "JavaExecutorchEngine"
    assert android.opened[-1] == (0, 2)
    seen = session.look(page)
    answer = seen.ask("a").finish()
    assert answer.token_ids == tiny.twin.greedy(tiny.prompt(page, "a"), 8)
    assert len(seen.findings()) == 2


def test_android_says_in_a_line_what_java_threw(android, folder, program, monkeypatch):
    with pytest.raises(UserError, match="threads"):
        open_engine(Bundle.load(folder), threads=0)
    program.context = 95
    with pytest.raises(UserError, match="holds 95 positions"):
        open_engine(Bundle.load(folder))
    program.context = CONTEXT
    engine = open_engine(Bundle.load(folder))
    program.fail_at = 0
    with pytest.raises(UserError, match="ExecuTorch stopped"):
        engine.decode(np.zeros((1, 16), np.float32), engine.empty_cache())
    monkeypatch.setattr(android, "load", classmethod(lambda cls, *args: 1 / 0))
    with pytest.raises(UserError, match="cannot load it"):
        open_engine(Bundle.load(folder))
