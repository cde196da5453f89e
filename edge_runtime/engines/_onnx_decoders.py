"""The two kinds of ONNX decoder: one that writes into a cache bound to it, and one that joins past and new itself.

The first is what the exporter writes for ONNX Runtime. The second uses nothing but standard operators, which other
execution providers can compile; it copies the whole cache at every token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from edge_runtime.engines import Cache
from edge_runtime.errors import UserError
from edge_runtime.inference import ModelSpec
from edge_runtime.stateful import History, StatefulDecoder, room_for

# Attention scores grow with the square of what is decoded at once; 2,900 image tokens of a 7B model would need 1 GB.
CHUNK = 512
# What ONNX Runtime holds meanwhile grows with it as well: a 7B reading 576 image tokens peaked at 6.3 GB with 512, at
# 5.4 with 128.
WIDE, WIDE_CHUNK = 2048, 128
# From 32 positions at once on, pulse-nano's logits are off by up to 2.5 through WebGPU without an error (0.4.0, seen on
# SwiftShader); up to 31 by 1e-5.
WEBGPU_CHUNK = 16
# Whose memory a bound cache lies in, by the first of the session's providers; the others work in the CPU's.
DEVICES = {
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
    "WebGpuExecutionProvider": "webgpu",
}


def cache_names(layers: int) -> list[str]:
    """key_0, value_0, key_1 ...: what stands after past_ and present_."""
    return [f"{kind}_{i}" for i in range(layers) for kind in ("key", "value")]


def _at_once(session: ort.InferenceSession, model: ModelSpec) -> int:
    """Positions that are decoded at once."""
    if DEVICES.get(session.get_providers()[0]) == "webgpu":
        return WEBGPU_CHUNK
    return CHUNK if model.hidden_size < WIDE else WIDE_CHUNK


class BoundDecoder:
    """Past and present are the same memory, [1, KV, capacity, head_dim] each: a step writes its own positions only.

    Their type is the graph's: float32, or int8 with the scales inside the graph. The capacity follows the request. They
    lie where the session's provider wants them and stay there; what a step brings is bound anew at every step, since
    binding copies it into another device's memory.
    """

    INPUTS = ("embeds", "last", "total")

    def __init__(self, session: ort.InferenceSession, model: ModelSpec) -> None:
        self._session, self._model = session, model
        self._names = cache_names(model.layers)
        self._cached = StatefulDecoder(self._step, _at_once(session, model))
        self._logits = np.zeros((1, model.vocab_size), np.float32)
        self._binding = session.io_binding()
        shape, kind = self._logits.shape, self._logits.dtype.type
        self._binding.bind_output("logits", "cpu", 0, kind, shape, self._logits.ctypes.data)
        self._device = DEVICES.get(session.get_providers()[0], "cpu")
        types = {node.name: node.type for node in session.get_inputs()}
        kept = np.int8 if types[f"past_{self._names[0]}"] == "tensor(int8)" else np.float32
        if (self._device, kept) == ("webgpu", np.int8):  # its attention fails at the first step (0.4.0)
            raise UserError(
                "provider webgpu takes no int8 cache; export the bundle without --kv int8, or choose another"
            )
        empty = ort.OrtValue.ortvalue_from_numpy(np.zeros((1, model.kv_heads, 0, model.head_dim), kept))
        self._tensors = [empty for _ in self._names]

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both.

        Raises UserError when they do not fit the model's context.
        """
        positions, most = getattr(cache, "length", 0) + len(embeds), self._model.context_length
        if positions > most:
            raise UserError(
                f"{positions} positions do not fit the model's {most}; "
                "ask a shorter question or start again from the image"
            )
        self._reserve(positions)
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        end = position + len(embeds)
        feed = {
            "embeds": np.ascontiguousarray(embeds[None], np.float32),
            "last": np.array([end - 1], np.int32),
            "total": np.array(end, np.int32),
        }
        for name, array in feed.items():
            self._binding.bind_cpu_input(name, array)
        self._session.run_with_iobinding(self._binding)
        return self._logits[0].copy()

    def _reserve(self, positions: int) -> None:
        """Make room for so many positions and keep what is there; one tensor at a time, so that only one lies twice."""
        had = self._tensors[0].shape()[2]
        if positions <= had:
            return
        room = room_for(positions, had, self._model.context_length)
        for index, name in enumerate(self._names):
            before = self._tensors[index].numpy()
            longer = np.zeros((1, self._model.kv_heads, room, self._model.head_dim), before.dtype)
            longer[:, :, :had] = before
            tensor = self._tensors[index] = ort.OrtValue.ortvalue_from_numpy(longer, self._device)
            self._binding.bind_ortvalue_input(f"past_{name}", tensor)
            self._binding.bind_ortvalue_output(f"present_{name}", tensor)


@dataclass(frozen=True)
class JoinedCache:
    """Keys and values of every layer as the runtime's own tensors, [1, KV, length, head_dim] each."""

    tensors: tuple[ort.OrtValue, ...]
    length: int


class JoiningDecoder:
    """Past of P positions in, present of P + S out: caches are values, and branches need no care."""

    INPUTS = ("embeds",)

    def __init__(self, session: ort.InferenceSession, model: ModelSpec) -> None:
        self._session, self._model = session, model
        names = cache_names(model.layers)
        self._past = [f"past_{name}" for name in names]
        self._outputs = ["logits", *(f"present_{name}" for name in names)]
        self._chunk = _at_once(session, model)

    def empty_cache(self) -> JoinedCache:
        """The cache before the first token."""
        empty = np.zeros((1, self._model.kv_heads, 0, self._model.head_dim), np.float32)
        return JoinedCache((ort.OrtValue.ortvalue_from_numpy(empty),) * len(self._past), 0)

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, JoinedCache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        if not isinstance(cache, JoinedCache):
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        if len(embeds) == 0:
            raise ValueError("decode needs at least one position")
        logits: ort.OrtValue | None = None
        for start in range(0, len(embeds), self._chunk):
            chunk = np.ascontiguousarray(embeds[None, start : start + self._chunk], np.float32)
            feed = dict(zip(self._past, cache.tensors, strict=True))
            feed["embeds"] = ort.OrtValue.ortvalue_from_numpy(chunk)
            logits, *present = self._session.run_with_ort_values(self._outputs, feed)
            cache = JoinedCache(tuple(present), cache.length + chunk.shape[1])
        assert logits is not None
        return logits.numpy()[0], cache


Decoder = BoundDecoder | JoiningDecoder


def decoder_kind(session: ort.InferenceSession) -> type[BoundDecoder] | type[JoiningDecoder]:
    """The kind that a graph is of: only the first is told where it is."""
    return BoundDecoder if "total" in [node.name for node in session.get_inputs()] else JoiningDecoder
