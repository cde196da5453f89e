"""Runs a bundle's three ONNX graphs with ONNX Runtime, on the CPU or what another execution provider drives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines import Cache
from edge_runtime.errors import UserError, shorten

try:
    import onnxruntime as ort

    from edge_runtime.engines._onnx_decoders import Decoder, cache_names, decoder_kind
    from edge_runtime.engines._onnx_plugins import PLUGINS, devices, load_plugin
except ImportError:
    raise UserError("this bundle needs ONNX Runtime, which is not installed; pip install onnxruntime") from None

# A vision tower above this many bytes is loaded for each image and let go: it idles while the answer is written.
_KEEP_VISION = 64 << 20
_ERRORS_ONLY = 3
# What users call them, and their names in ONNX Runtime. Nodes that one does not take run on the CPU.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "webgpu": "WebGpuExecutionProvider",
}


class OnnxEngine:
    """The engine for target "onnx"; see engines.Engine for the shapes.

    Raises UserError when a graph cannot be loaded or does not have the inputs and outputs that the format asks for.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, provider: str = "cpu") -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        self._bundle = bundle
        self._provider = provider_name(provider)
        self._threads = threads or usable_cores()
        # Looking up rows is no work to share: not with a second pool of threads, which would only be in the decoder's
        # way, and not with a GPU, from which every row would have to come back.
        self._embed = self._load("embed", ["input_ids"], ["embeds"], PROVIDERS["cpu"], threads=1)
        self._decoder = self._open_decoder()
        keep = bundle.size("vision") <= _KEEP_VISION
        self._vision = self._load_vision() if keep else None

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        session = self._vision or self._load_vision()
        features = np.asarray(session.run(["features"], {"pixels": pixels})[0])
        width = self._bundle.manifest.inference.model.hidden_size
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

    def empty_cache(self) -> Cache:
        """The cache before the first token."""
        return self._decoder.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        return self._decoder.decode(embeds, cache)

    def _open_decoder(self) -> Decoder:
        session = self._open("decoder", self._provider, self._threads)
        kind, model = decoder_kind(session), self._bundle.manifest.inference.model
        names = cache_names(model.layers)
        self._check(
            "decoder",
            session,
            [*kind.INPUTS, *(f"past_{n}" for n in names)],
            ["logits", *(f"present_{n}" for n in names)],
        )
        return kind(session, model)

    def _load_vision(self) -> ort.InferenceSession:
        return self._load("vision", ["pixels"], ["features"], self._provider, self._threads)

    def _load(
        self, artifact: str, inputs: Sequence[str], outputs: Sequence[str], provider: str, threads: int
    ) -> ort.InferenceSession:
        session = self._open(artifact, provider, threads)
        self._check(artifact, session, inputs, outputs)
        return session

    def _open(self, artifact: str, provider: str, threads: int) -> ort.InferenceSession:
        path = self._bundle.path(artifact)
        try:
            return open_session(path, provider, threads)
        # The runtime's exceptions share no base class but Exception.
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(
                f"{path}: ONNX Runtime {ort.__version__} cannot load it ({reason}); export the bundle again"
            ) from None

    def _check(
        self, artifact: str, session: ort.InferenceSession, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        found = [node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()]
        for kind, have, need in (("inputs", found[0], inputs), ("outputs", found[1], outputs)):
            if set(have) != set(need):
                path, differing = self._bundle.path(artifact), ", ".join(sorted(set(have) ^ set(need))[:3])
                raise UserError(f"{path}: its {kind} are not the format's ({differing}); export the bundle again")


def open_engine(bundle: Bundle, threads: int | None = None, provider: str = "cpu") -> OnnxEngine:
    """What the registry calls."""
    return OnnxEngine(bundle, threads, provider)


def provider_name(provider: str) -> str:
    """ONNX Runtime's name of an execution provider. Raises UserError for one that this installation does not have."""
    if provider == "qnn":
        raise UserError(
            "provider qnn is not here: Hexagon takes graphs of fixed sizes alone; pulse-export --target qnn writes them"
        )
    if provider in PLUGINS:
        load_plugin(provider)
        return PROVIDERS[provider]
    have = [name for name, long in PROVIDERS.items() if long in ort.get_available_providers()]
    if provider not in have:
        raise UserError(
            f"provider {provider} is not here; this ONNX Runtime has {', '.join(have)}; install a build with it "
            "(onnxruntime-gpu; on a Jetson the vendor's own wheel) or choose another"
        )
    return PROVIDERS[provider]


def open_session(path: Path, provider: str, threads: int) -> ort.InferenceSession:
    """A graph on a provider, ONNX Runtime's name of one; nodes that it does not take run on the CPU."""
    options = session_options(threads)
    if provider in ort.get_available_providers():
        providers = list(dict.fromkeys((provider, PROVIDERS["cpu"])))
        return ort.InferenceSession(str(path), options, providers=providers)
    options.add_provider_for_devices(devices(provider)[:1], {})
    return ort.InferenceSession(str(path), options)


def session_options(threads: int) -> ort.SessionOptions:
    """What every graph is run with."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Each session has its own threads; those of an idle one would wait busily in the way of the one that works.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # Standard 4-bit graphs are fused into the runtime's own product, which would round activations to 8 bits unasked.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
    options.log_severity_level = _ERRORS_ONLY
    # The cache grows by one position a step, so no two steps have equal shapes: an arena would keep every size it saw.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    return options
