"""ONNX bundles on Android: the same graphs through ONNX Runtime's Java library (ai.onnxruntime), by pyjnius.

Python's onnxruntime has no Android build; the Java library comes with the app as a Gradle dependency (docs/phones.md).
Keys and values stay on the runtime's side of the bridge: a step writes them in place, as onnx_decoders.BoundDecoder
does, by giving the same tensors as past and as pinned outputs. Only embeddings go over and logits come back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines import Cache
from edge_runtime.engines._java import java_class as _java
from edge_runtime.errors import UserError, shorten
from edge_runtime.generate import check_fits
from edge_runtime.manifest import MANIFEST
from edge_runtime.stateful import History, StatefulDecoder, room_for

# As in onnx_decoders: attention scores grow with the square of what is decoded at once.
_CHUNK = 512
_TYPES = {"float32": "FLOAT", "int32": "INT32", "int64": "INT64"}


def _tensor(array: np.ndarray) -> Any:
    """An OnnxTensor with a copy of the array, which has at least one element: Java's library knows no empty ones."""
    kind = getattr(_java("ai.onnxruntime.OnnxJavaType"), _TYPES[array.dtype.name])
    order = _java("java.nio.ByteOrder").nativeOrder()
    buffer = _java("java.nio.ByteBuffer").wrap(array.tobytes()).order(order)
    environment = _java("ai.onnxruntime.OrtEnvironment").getEnvironment()
    return _java("ai.onnxruntime.OnnxTensor").createTensor(environment, buffer, list(array.shape), kind)


def _array(tensor: Any) -> np.ndarray:
    """A float32 copy of an OnnxTensor."""
    buffer = tensor.getByteBuffer()
    data = bytearray(buffer.remaining())
    buffer.get(data)
    return np.frombuffer(data, np.float32).reshape(tensor.getInfo().getShape())


class _Graph:
    """One OrtSession."""

    def __init__(self, bundle: Bundle, artifact: str, threads: int) -> None:
        path = bundle.path(artifact)
        options = _java("ai.onnxruntime.OrtSession$SessionOptions")()
        options.setIntraOpNumThreads(threads)
        options.setInterOpNumThreads(1)
        # No two prompts have equal shapes: an arena would keep every size it saw.
        options.setCPUArenaAllocator(False)
        options.setMemoryPatternOptimization(False)
        options.addConfigEntry("session.force_spinning_stop", "1")
        environment = _java("ai.onnxruntime.OrtEnvironment").getEnvironment()
        try:
            self._session = environment.createSession(str(path), options)
        # pyjnius raises one exception class for whatever Java threw.
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(f"{path}: ONNX Runtime cannot load it ({reason}); export the bundle again") from None
        self.inputs = set(self._session.getInputNames().toArray())

    def run(
        self,
        output: str,
        feed: Mapping[str, np.ndarray],
        held: Mapping[str, Any] | None = None,
        pinned: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """A copy of one output. held: more inputs, as OnnxTensors; pinned: OnnxTensors that outputs are written to."""
        inputs, outputs = _java("java.util.HashMap")(), _java("java.util.HashMap")()
        wanted = _java("java.util.LinkedHashSet")()
        wanted.add(output)
        lent = {name: _tensor(array) for name, array in feed.items()}
        for target, tensors in ((inputs, {**lent, **(held or {})}), (outputs, pinned or {})):
            for name, tensor in tensors.items():
                target.put(name, tensor)
        try:
            result = self._session.run(inputs, wanted, outputs, None)
            try:
                return _array(result.get(output).get())
            finally:
                result.close()  # and with it what it made, but not what was pinned
        finally:
            for tensor in lent.values():
                tensor.close()


class JavaEngine:
    """The engine for target "onnx" on Android; see engines.Engine for the shapes. Raises UserError."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        threads = threads or usable_cores()
        self._model = bundle.manifest.inference.model
        self._embed = _Graph(bundle, "embed", 1)
        self._decoder = _Graph(bundle, "decoder", threads)
        self._vision = _Graph(bundle, "vision", threads)
        self._names = [f"{kind}_{i}" for i in range(self._model.layers) for kind in ("key", "value")]
        needed = {"embeds", "last", "total", *(f"past_{n}" for n in self._names)}
        if needed != self._decoder.inputs:
            differing = ", ".join(sorted(needed ^ self._decoder.inputs)[:3])
            raise UserError(
                f"{bundle.path('decoder')}: its inputs are not those of a cache written in place ({differing}); "
                "export the bundle again"
            )
        recorded = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8")).get("options", {})
        if recorded.get("kv") == "int8":
            raise UserError(
                f"{bundle.folder}: keeps keys and values as int8, which this engine does not; export without --kv int8"
            )
        self._tensors: list[Any] = []
        self._room = 0
        self._cached = StatefulDecoder(self._step, _CHUNK)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        features = self._vision.run("features", {"pixels": np.ascontiguousarray(pixels, np.float32)})
        return features.reshape(-1, self._model.hidden_size)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        return self._embed.run("embeds", {"input_ids": np.array([ids], np.int64)})[0]

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        positions = getattr(cache, "length", 0) + len(embeds)
        check_fits(positions - 1, self._model.context_length)
        if positions > self._room:
            self._grow(positions)
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        end = position + len(embeds)
        feed = {
            "embeds": np.ascontiguousarray(embeds[None], np.float32),
            "last": np.array([end - 1], np.int32),
            "total": np.array(end, np.int32),
        }
        past, present = (
            {f"{when}_{n}": t for n, t in zip(self._names, self._tensors, strict=True)} for when in ("past", "present")
        )
        return self._decoder.run("logits", feed, past, present)[0]

    def _grow(self, positions: int) -> None:
        """Make room for so many positions and keep what is there."""
        room = room_for(positions, self._room, self._model.context_length)
        old, self._tensors = self._tensors, []
        for index in range(len(self._names)):
            fresh = np.zeros((1, self._model.kv_heads, room, self._model.head_dim), np.float32)
            if old:
                fresh[:, :, : self._room] = _array(old[index])
                old[index].close()
            self._tensors.append(_tensor(fresh))
        self._room = room


def open_engine(bundle: Bundle, threads: int | None = None) -> JavaEngine:
    """What the registry calls."""
    return JavaEngine(bundle, threads)
