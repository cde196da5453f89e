"""Runs a bundle for Qualcomm's Hexagon NPU: graphs of fixed sizes through ONNX Runtime's QNN provider.

On an x86 machine the provider's library is Qualcomm's simulator of the chip: the same kernels, whose numbers count and
whose times say nothing. Tokens are looked up on the CPU; nothing else may run there, on neither of them.
https://onnxruntime.ai/docs/execution-providers/QNN-ExecutionProvider.html
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache
from edge_runtime.errors import CannotRunHere, UserError, shorten
from edge_runtime.stateful import History, StatefulDecoder

try:
    import onnxruntime as ort

    from edge_runtime.engines._onnx_decoders import cache_names
    from edge_runtime.engines._onnx_plugins import PLUGINS, devices, load_plugin
    from edge_runtime.engines.onnx import open_session, session_options
except ImportError:
    raise UserError("this bundle needs ONNX Runtime, which is not installed; pip install onnxruntime") from None

# Added to the scores of positions that may not be looked at. exp(-1e4) is 0, and float16 holds it with room for scores.
MASKED = -1e4
GRAPHS = ("vision", "prompt", "token")  # those that the chip runs
# The chip that is simulated, SM8650 (Snapdragon 8 Gen 3); float16 needs one to be named. Its numbers were those of the
# three others that have been tried.
_SIMULATED = {"soc_model": "57", "htp_arch": "75"}
_SIMULATORS = ("x86_64", "AMD64")


class QnnEngine:
    """The engine for target "qnn"; see engines.Engine for the shapes. simulator: what imitates the chip, "" where it is
    the chip.

    Raises CannotRunHere when the provider is not installed or has nothing to drive, UserError when a graph cannot be
    loaded or is not of the format.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        try:
            library = load_plugin("qnn")
        except UserError as error:
            raise CannotRunHere(f"{bundle.folder}: {error}") from None
        self.simulator = simulator()
        self._bundle, self._model = bundle, bundle.manifest.inference.model
        backend = {"backend_path": str(library.get_qnn_htp_path()), **(_SIMULATED if self.simulator else {})}
        self._vision, self._prompt, self._token = (self._open(bundle.path(name), backend) for name in GRAPHS)
        self._embed = open_session(bundle.path("embed"), "CPUExecutionProvider", threads=1)
        self._names = cache_names(self._model.layers)
        self._outputs = ["logits", *(f"new_{name}" for name in self._names)]
        shape = (1, self._model.kv_heads, self._model.context_length, self._model.head_dim)
        self._check(shape)
        self._past = {f"past_{name}": np.zeros(shape, np.float32) for name in self._names}
        self._chunk = self._prompt.get_inputs()[0].shape[1]
        self._cached = StatefulDecoder(self._step, self._chunk)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W], a tile at a time."""
        tiles = [self._run(self._vision, ["features"], {"pixels": tile[None]})[0] for tile in pixels]
        return np.concatenate(tiles).reshape(-1, self._model.hidden_size)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        feed = {"input_ids": np.asarray(ids, np.int64).reshape(1, -1)}
        return np.asarray(self._embed.run(["embeds"], feed)[0])[0]

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both.

        Raises UserError when they do not fit the graphs' window.
        """
        positions, most = getattr(cache, "length", 0) + len(embeds), self._model.context_length
        if positions > most:
            raise UserError(
                f"{positions} positions do not fit the bundle's {most}; "
                "ask a shorter question or start again from the image"
            )
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        """One token by the graph for one, more by the graph for prompts, whose other rows are padding."""
        count = len(embeds)
        graph, size = (self._token, 1) if count == 1 else (self._prompt, self._chunk)
        rows = np.zeros((1, size, embeds.shape[1]), np.float32)
        rows[0, :count] = embeds
        places = np.arange(position, position + size)
        feed = {
            "embeds": rows,
            "positions": places.clip(max=self._model.context_length - 1).astype(np.int32),
            "last": np.array([count - 1], np.int32),
            "mask": self._mask(position, size),
            **self._past,
        }
        logits, *new = self._run(graph, self._outputs, feed)
        for kept, grown in zip(self._past.values(), new, strict=True):
            kept[:, :, position : position + count] = grown[:, :, :count]
        return np.asarray(logits[0])

    def _mask(self, position: int, size: int) -> np.ndarray:
        """float32 [size, window + size]: rows see the window up to `position`, and each other up to themselves."""
        window = np.broadcast_to(np.arange(self._model.context_length) < position, (size, self._model.context_length))
        seen = np.concatenate([window, np.tri(size, dtype=bool)], axis=1)
        return np.where(seen, 0.0, MASKED).astype(np.float32)

    def _open(self, path: Path, backend: dict[str, str]) -> ort.InferenceSession:
        options = session_options(threads=1)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        options.add_provider_for_devices(devices(PLUGINS["qnn"].long)[:1], backend)
        try:
            with stdout_to_stderr():
                return ort.InferenceSession(str(path), options)
        except Exception as error:  # the runtime's exceptions share no base class but Exception
            raise UserError(
                f"{path}: Hexagon's compiler does not take it ({shorten(str(error), 160)}); export the bundle again"
            ) from None

    def _run(self, session: ort.InferenceSession, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            with stdout_to_stderr():
                found: list[np.ndarray] = session.run(outputs, feed)
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(f"{self._bundle.folder}: Hexagon stopped ({reason}); export the bundle again") from None
        return found

    def _check(self, past: tuple[int, ...]) -> None:
        given = {"embeds", "positions", "last", "mask", *(f"past_{name}" for name in self._names)}
        wanted = {"vision": {"pixels"}, "prompt": given, "token": given}
        for artifact, session in (("vision", self._vision), ("prompt", self._prompt), ("token", self._token)):
            inputs = {node.name: tuple(node.shape) for node in session.get_inputs()}
            differing = set(inputs) ^ wanted[artifact] or {
                n for n in inputs if n.startswith("past_") and inputs[n] != past
            }
            if differing:
                raise UserError(
                    f"{self._bundle.path(artifact)}: its inputs are not the format's ({min(differing)}); "
                    "export the bundle again"
                )


def simulator() -> str:
    """What imitates a Hexagon on this machine, "" where nothing does, or the machine may have the chip itself."""
    if platform.machine() not in _SIMULATORS:
        return ""
    try:
        return f"Qualcomm's simulator of Hexagon (onnxruntime-qnn {metadata.version('onnxruntime-qnn')})"
    except metadata.PackageNotFoundError:
        return ""


def open_engine(bundle: Bundle, threads: int | None = None) -> QnnEngine:
    """What the registry calls. The chip has threads of its own: `threads` has no effect."""
    return QnnEngine(bundle, threads)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """The simulator prints a line of its own to stdout, which belongs to the answer."""
    if not simulator() or os.name != "posix":
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C has buffered, before stdout is itself again
        os.dup2(kept, 1)
        os.close(kept)
