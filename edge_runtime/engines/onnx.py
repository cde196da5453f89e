"""Runs a bundle's three ONNX graphs with ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines import Cache
from edge_runtime.errors import UserError, shorten

try:
    import onnxruntime as ort
except ImportError:
    raise UserError("this bundle needs ONNX Runtime, which is not installed; pip install onnxruntime") from None

# A vision tower above this many bytes is loaded for each image and let go: it idles while the answer is written.
_KEEP_VISION = 64 << 20
# Attention scores grow with the square of what is decoded at once; 2,900 image tokens of a 7B model would need 1 GB.
_CHUNK = 512
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class OnnxCache:
    """Keys and values of every layer as the runtime's own tensors, [1, KV, length, head_dim] each: never copied."""

    tensors: tuple[ort.OrtValue, ...]
    length: int


class OnnxEngine:
    """The engine for target "onnx"; see engines.Engine for the shapes.

    Raises UserError when a graph cannot be loaded or does not have the inputs and outputs that the format asks for.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        self._bundle = bundle
        self._threads = threads or usable_cores()
        model = bundle.manifest.model
        names = [f"{kind}_{i}" for i in range(model.layers) for kind in ("key", "value")]
        self._past = [f"past_{name}" for name in names]
        self._outputs = ["logits", *(f"present_{name}" for name in names)]
        # Looking up rows is no work to share; a second pool of threads would only be in the decoder's way.
        self._embed = self._load("embed", ["input_ids"], ["embeds"], threads=1)
        self._decoder = self._load("decoder", ["embeds", *self._past], self._outputs)
        keep = bundle.size("vision") <= _KEEP_VISION
        self._vision = self._load("vision", ["pixels"], ["features"]) if keep else None

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        session = self._vision or self._load("vision", ["pixels"], ["features"])
        features = np.asarray(session.run(["features"], {"pixels": pixels})[0])
        width = self._bundle.manifest.model.hidden_size
        if features.ndim != 3 or features.shape[0] != pixels.shape[0] or features.shape[2] != width:
            raise UserError(
                f"{self._bundle.path('vision')}: features are {features.shape}, not ({pixels.shape[0]}, T, {width}); "
                "export the bundle again"
            )
        return features.reshape(-1, width)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        feed = {"input_ids": np.asarray(ids, np.int64).reshape(1, -1)}
        return np.asarray(self._embed.run(["embeds"], feed)[0])[0]

    def empty_cache(self) -> OnnxCache:
        """The cache before the first token."""
        model = self._bundle.manifest.model
        empty = np.zeros((1, model.kv_heads, 0, model.head_dim), np.float32)
        return OnnxCache((ort.OrtValue.ortvalue_from_numpy(empty),) * len(self._past), 0)

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, OnnxCache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        if not isinstance(cache, OnnxCache):
            raise TypeError(f"the cache of another engine: {type(cache).__name__}")
        if len(embeds) == 0:
            raise ValueError("decode needs at least one position")
        logits: ort.OrtValue | None = None
        for start in range(0, len(embeds), _CHUNK):
            chunk = np.ascontiguousarray(embeds[None, start : start + _CHUNK], np.float32)
            feed = dict(zip(self._past, cache.tensors, strict=True))
            feed["embeds"] = ort.OrtValue.ortvalue_from_numpy(chunk)
            logits, *present = self._decoder.run_with_ort_values(self._outputs, feed)
            cache = OnnxCache(tuple(present), cache.length + chunk.shape[1])
        assert logits is not None
        return logits.numpy()[0], cache

    def _load(
        self, artifact: str, inputs: Sequence[str], outputs: Sequence[str], threads: int | None = None
    ) -> ort.InferenceSession:
        path = self._bundle.path(artifact)
        try:
            options = _options(threads or self._threads)
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # The runtime's exceptions share no base class but Exception.
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(
                f"{path}: ONNX Runtime {ort.__version__} cannot load it ({reason}); export the bundle again"
            ) from None
        found = [node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()]
        for kind, have, need in (("inputs", found[0], inputs), ("outputs", found[1], outputs)):
            if set(have) != set(need):
                differing = ", ".join(sorted(set(have) ^ set(need))[:3])
                raise UserError(f"{path}: its {kind} are not the format's ({differing}); export the bundle again")
        return session


def open_engine(bundle: Bundle, threads: int | None = None) -> OnnxEngine:
    """What the registry calls."""
    return OnnxEngine(bundle, threads)


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # The cache grows by one position a step, so no two steps have equal shapes: an arena would keep every size it saw.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return options
