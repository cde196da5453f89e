"""Runs a bundle's GGUF files in llama.cpp, through llama-cpp-python, so that they can be certified.

The page is cut into tiles here, as everywhere, and llama.cpp's own preprocessing is left nothing to do: a picture of a
tile's size goes through as it is. What llama.cpp's programs do to a whole page is in docs/pulse-7b.md.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.cpus import usable_cores
from edge_runtime.engines import Cache
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.generate import check_fits
from edge_runtime.stateful import History, StatefulDecoder

_CHUNK = 512  # llama.cpp's own


class LlamaEngine:
    """An engine for target "gguf"; see edge_runtime.engines.Engine for the shapes.

    Raises CannotRunHere when llama-cpp-python is not installed, UserError when llama.cpp cannot load a file.
    """

    def __init__(self, bundle: Bundle) -> None:
        try:
            import gguf
            import llama_cpp
            from llama_cpp import mtmd_cpp
        except ImportError:
            raise CannotRunHere("certifying it needs llama-cpp-python; pip install pulse-edge[peers]") from None
        self._peer, self._eyes, self._spec = llama_cpp, mtmd_cpp, bundle.manifest.inference.preprocess
        self._size = bundle.manifest.inference.model
        threads = usable_cores()
        # Its log goes to stderr unless it is taken; the callback must outlive the library's use of it.
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        mtmd_cpp.mtmd_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        decoder, tower = bundle.path("decoder"), bundle.path("vision")
        self._model = llama_cpp.llama_model_load_from_file(
            str(decoder).encode(), llama_cpp.llama_model_default_params()
        )
        if not self._model:
            raise UserError(f"{decoder}: llama.cpp cannot load it; export the bundle again")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self._size.context_length
        params.n_batch = params.n_ubatch = _CHUNK
        params.n_threads = params.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        looks = mtmd_cpp.mtmd_context_params_default()
        looks.use_gpu, looks.print_timings, looks.warmup, looks.n_threads = False, False, False, threads
        self._tower = mtmd_cpp.mtmd_init_from_file(str(tower).encode(), self._model, looks)
        if not self._context or not self._tower:
            raise UserError(f"{decoder if self._tower else tower}: llama.cpp cannot open it; export the bundle again")
        tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(decoder).tensors}
        self._table = tensors["token_embd.weight"].data  # [V, D], mapped: only the rows looked up are read
        self._cached = StatefulDecoder(self._step, _CHUNK)

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        """Image features [T, D] for pixels [N, C, H, W]."""
        mean, std = (np.array(values, np.float64)[:, None, None] for values in (self._spec.mean, self._spec.std))
        levels = np.rint((pixels * std + mean) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return np.concatenate([self._tile(np.ascontiguousarray(tile)) for tile in levels])

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        """Token embeddings [S, D] for S ids."""
        return np.asarray(self._table[np.asarray(ids, np.int64)], np.float32)

    def empty_cache(self) -> History:
        """The cache before the first token."""
        return self._cached.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, History]:
        """Logits [V] after embeds [S, D] that follow `cache`, and the cache that holds both."""
        check_fits(getattr(cache, "length", 0) + len(embeds) - 1, self._size.context_length)
        return self._cached.decode(embeds, cache)

    def _step(self, embeds: np.ndarray, position: int) -> np.ndarray:
        peer, rows = self._peer, np.ascontiguousarray(embeds, np.float32)
        peer.llama_memory_seq_rm(peer.llama_get_memory(self._context), 0, position, -1)
        # Without positions it goes on where its memory ends, and gives the last one's logits.
        batch = peer.llama_batch(len(rows), None, rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        if peer.llama_decode(self._context, batch) != 0:
            raise UserError("llama.cpp stopped; export the bundle again")
        logits = peer.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (self._size.vocab_size,)).copy()

    def _tile(self, levels: np.ndarray) -> np.ndarray:
        """Features [t, D] of one tile, uint8 [H, W, 3]."""
        eyes: Any = self._eyes
        height, width = levels.shape[:2]
        picture = eyes.mtmd_bitmap_init(width, height, levels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8)))
        chunks = eyes.mtmd_input_chunks_init()
        marker = eyes.mtmd_default_marker()
        text = eyes.mtmd_input_text(marker, len(marker), False, False)
        try:
            bitmaps = (eyes.mtmd_bitmap_p_ctypes * 1)(picture)
            if eyes.mtmd_tokenize(self._tower, chunks, ctypes.byref(text), bitmaps, 1) != 0:
                raise UserError("llama.cpp cannot take the picture apart; export the bundle again")
            found = [eyes.mtmd_input_chunks_get(chunks, i) for i in range(eyes.mtmd_input_chunks_size(chunks))]
            (chunk,) = (c for c in found if eyes.mtmd_input_chunk_get_type(c) == eyes.MTMD_INPUT_CHUNK_TYPE_IMAGE)
            if eyes.mtmd_encode_chunk(self._tower, chunk) != 0:
                raise UserError("llama.cpp's vision tower stopped; export the bundle again")
            shape = eyes.mtmd_input_chunk_get_n_tokens(chunk), self._size.hidden_size
            return np.ctypeslib.as_array(eyes.mtmd_get_output_embd(self._tower), shape).copy()
        finally:
            eyes.mtmd_input_chunks_free(chunks)
            eyes.mtmd_bitmap_free(picture)
