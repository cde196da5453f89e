"""Safetensors folders written a tensor at a time, in the layout that pulse.model.weights reads."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pulse.model.weights import INDEX, SINGLE


class ShardWriter:
    """Collects tensors and writes a shard whenever `shard_bytes` are full, so memory stays near one shard.

    Call `close` at the end: it names the shards and writes the index when there is more than one.
    """

    def __init__(self, folder: Path, shard_bytes: int = 1 << 30) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.pending: dict[str, Tensor] = {}
        self.pending_bytes = self.total_bytes = 0
        self.parts: list[list[str]] = []

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a tensor; it must not be changed afterwards."""
        if self.pending and self.pending_bytes + tensor.nbytes > self.shard_bytes:
            self._flush()
        self.pending[name] = tensor.contiguous()
        self.pending_bytes += tensor.nbytes
        self.total_bytes += tensor.nbytes

    def close(self) -> None:
        """Write what is left, give the shards their final names and write the index."""
        self._flush()
        if len(self.parts) == 1:
            self._part(0).rename(self.folder / SINGLE)
            return
        weight_map = {}
        for i, names in enumerate(self.parts):
            shard = f"model-{i + 1:05d}-of-{len(self.parts):05d}.safetensors"
            self._part(i).rename(self.folder / shard)
            weight_map.update(dict.fromkeys(names, shard))
        index = {"metadata": {"total_size": self.total_bytes}, "weight_map": weight_map}
        (self.folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")

    def _flush(self) -> None:
        # transformers refuses files whose metadata does not say that torch wrote them
        save_file(self.pending, self._part(len(self.parts)), metadata={"format": "pt"})
        self.parts.append(list(self.pending))
        self.pending, self.pending_bytes = {}, 0

    def _part(self, i: int) -> Path:
        return self.folder / f"part-{i}.safetensors"
