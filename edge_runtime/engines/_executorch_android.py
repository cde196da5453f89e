"""ExecuTorch bundles on Android: the same program through its Java library (org.pytorch.executorch), by pyjnius."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.engines._java import java_class as _java
from edge_runtime.engines.executorch import DECODER, EMBED, VISION, ExecutorchEngine
from edge_runtime.errors import UserError, shorten
from edge_runtime.stateful import StatefulDecoder, decoder_artifacts


class JavaExecutorchEngine(ExecutorchEngine):
    """The engine for target "executorch" on Android; see engines.Engine for the shapes. Raises UserError."""

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError(f"threads must be 1 or more, not {threads}")
        self._path, self._model = bundle.path("program"), bundle.manifest.inference.model
        module = _java("org.pytorch.executorch.Module")
        paths = [self._path, *(bundle.path(name) for name in decoder_artifacts(bundle.manifest.artifacts))]
        try:
            # 0 is Module.LOAD_MODE_FILE.
            programs = [module.load(str(p)) if threads is None else module.load(str(p), 0, threads) for p in paths]
            self._most, context = (
                programs[0].execute(name)[0].toInt() for name in ("get_max_seq_len", "get_max_context_len")
            )
        # pyjnius raises one exception class for whatever Java threw.
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(f"{self._path}: ExecuTorch cannot load it ({reason}); export the bundle again") from None
        if context != self._model.context_length:
            raise UserError(
                f"{self._path}: holds {context} positions, not the manifest's {self._model.context_length}; "
                "export the bundle again"
            )
        self._vision, self._embed = (programs[0], VISION), (programs[0], EMBED)
        self._decoders = [(program, DECODER) for program in programs[1:] or programs]
        self._cached = StatefulDecoder(self._step, self._most)

    def _run(self, method: Any, *arrays: np.ndarray) -> np.ndarray:
        values = [_value(array) for array in arrays]
        try:
            program, name = method
            tensor = program.execute(name, *values)[0].toTensor()
        except Exception as error:
            reason = shorten(str(error), 120)
            raise UserError(f"{self._path}: ExecuTorch stopped ({reason}); export the bundle again") from None
        return np.array(tensor.getDataAsFloatArray(), np.float32).reshape(tensor.shape())


def _value(array: np.ndarray) -> Any:
    """An EValue with a copy of a float32 or int64 array, in the direct buffer that Java asks for."""
    raw = np.ascontiguousarray(array).tobytes()
    buffer = _java("java.nio.ByteBuffer").allocateDirect(len(raw)).order(_java("java.nio.ByteOrder").nativeOrder())
    buffer.put(raw)
    buffer.rewind()
    typed = buffer.asFloatBuffer() if array.dtype == np.float32 else buffer.asLongBuffer()
    tensor = _java("org.pytorch.executorch.Tensor").fromBlob(typed, list(array.shape))
    # The Java method is called `from`, which Python keeps for itself.
    return getattr(_java("org.pytorch.executorch.EValue"), "from")(tensor)


def open_engine(bundle: Bundle, threads: int | None = None) -> JavaExecutorchEngine:
    """What the registry calls."""
    return JavaExecutorchEngine(bundle, threads)
