"""What a decoder's graph computes on the way: the same graph with its integer products and attentions as outputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines._onnx_decoders import cache_names
from edge_runtime.engines.onnx import session_options
from export.certificate.insides import Insides

_PRODUCT, _ATTENTION, _PACKED = "MatMulNBits", "GroupQueryAttention", ".packed"
_LOGITS = "logits"
_CHUNK = 128  # positions read at once
_FOLDER = "session.model_external_initializers_file_folder_path"


def is_observable(bundle: Bundle) -> bool:
    """Whether its decoder is of style "nbits": in the other no node is an attention."""
    nodes = onnx.load(bundle.path("decoder"), load_external_data=False).graph.node
    return any(node.op_type == _ATTENTION for node in nodes)


class Observed:
    """A bundle's decoder of style "nbits", its values in view."""

    def __init__(self, bundle: Bundle) -> None:
        path = bundle.path("decoder")
        model = onnx.load(path, load_external_data=False)
        nodes = model.graph.node
        # A product's name in the model is that of its integers.
        self._products = {
            node.input[1].removesuffix(_PACKED): (node.input[0], node.output[0])
            for node in nodes
            if node.op_type == _PRODUCT
        }
        self._attended = [node.output[0] for node in nodes if node.op_type == _ATTENTION]
        self._scales = tuple(_int8_scales(model.graph))
        self._spec = bundle.manifest.inference.model
        self._names = cache_names(self._spec.layers)
        shown = {*self._attended, *(name for pair in self._products.values() for name in pair)}
        # A head of integers makes the logits itself, which are an output already.
        self._shown = sorted(shown - {_LOGITS})
        self._session = _open(model, path.parent, self._shown)

    def read(self, before: np.ndarray, embeds: np.ndarray) -> Insides:
        """What it makes of embeds [S, D] after `before` [P, D], which it reads first."""
        length, total = len(before), len(before) + len(embeds)
        shape = (1, self._spec.kv_heads, total, self._spec.head_dim)
        cache = [np.zeros(shape, np.int8 if self._scales else np.float32) for _ in self._names]
        for start in range(0, length, _CHUNK):
            self._step(before[start : min(start + _CHUNK, length)], start, cache, [])
        found = self._step(embeds, length, cache, self._shown)
        return Insides(
            embeds=embeds,
            products={name: (found[given], found[made]) for name, (given, made) in self._products.items()},
            attended={number: found[name] for number, name in enumerate(self._attended)},
            kept=tuple(cache),
            logits=found[_LOGITS],
            scales=self._scales,
        )

    def _step(
        self, embeds: np.ndarray, start: int, cache: list[np.ndarray], wanted: list[str]
    ) -> dict[str, np.ndarray]:
        """Read embeds [S, D] at position `start` and on, write them into the cache, and return what is wanted."""
        binding, end = self._session.io_binding(), start + len(embeds)
        binding.bind_cpu_input("embeds", np.ascontiguousarray(embeds[None], np.float32))
        binding.bind_cpu_input("last", np.array([end - 1], np.int32))
        binding.bind_cpu_input("total", np.array(end, np.int32))
        for name, array in zip(self._names, cache, strict=True):
            tensor = ort.OrtValue.ortvalue_from_numpy(array)  # the same memory
            binding.bind_ortvalue_input(f"past_{name}", tensor)
            binding.bind_ortvalue_output(f"present_{name}", tensor)
        for name in (_LOGITS, *wanted):
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        found = dict(zip((_LOGITS, *wanted), binding.get_outputs()[len(self._names) :], strict=True))
        return {name: value.numpy().reshape(-1, value.shape()[-1]) for name, value in found.items()}


def _int8_scales(graph: onnx.GraphProto) -> Iterator[np.ndarray]:
    """float32 [1, KV, 1, head_dim] of keys and values by layer, where the attention keeps them as int8."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == _ATTENTION and len(node.input) > 12:
            yield from (numpy_helper.to_array(tensors[name]).copy() for name in node.input[12:14])


def _open(model: onnx.ModelProto, folder: Path, shown: list[str]) -> ort.InferenceSession:
    for name in shown:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = session_options(usable_cores())
    options.add_session_config_entry(_FOLDER, str(folder))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
