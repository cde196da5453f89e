"""Safetensors folders written a tensor at a time, in the layout that pulse.checkpoint.weights reads.

Each shard is recorded with its digest as soon as it is whole, so a run that was cut off can go on from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.bundle import sha256_file
from pulse.checkpoint.weights import INDEX, SINGLE

SHARD_BYTES = 1 << 29


class ShardWriter:
    """Collects tensors and writes a shard whenever `shard_bytes` are full, so memory stays near one shard.

    Shards of an earlier run that are whole are kept: `done` names the tensors in them. Call `close` at the end: it
    names the shards and writes the index when there is more than one.
    """

    def __init__(self, folder: Path, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder, self.shard_bytes = folder, shard_bytes
        self.pending: dict[str, Tensor] = {}
        self.pending_bytes = self.total_bytes = 0
        self.parts: list[list[str]] = []
        self._take_up()
        self.done = {name for names in self.parts for name in names}

    def add(self, tensors: Mapping[str, Tensor]) -> None:
        """Take tensors that belong together: they come into the same shard. They must not be changed afterwards."""
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self.pending and self.pending_bytes + size > self.shard_bytes:
            self._flush()
        self.pending |= {name: tensor.contiguous() for name, tensor in tensors.items()}
        self.pending_bytes += size
        self.total_bytes += size

    def close(self) -> None:
        """Write what is left, give the shards their final names and write the index."""
        if self.pending:
            self._flush()
        for i in range(len(self.parts)):
            self._record(i).unlink()
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
        path = self._part(len(self.parts))
        # transformers refuses files whose metadata does not say that torch wrote them
        save_file(self.pending, path, metadata={"format": "pt"})
        record = {"names": list(self.pending), "bytes": self.pending_bytes, "sha256": sha256_file(path)}
        self._record(len(self.parts)).write_text(json.dumps(record), encoding="utf-8")
        self.parts.append(list(self.pending))
        self.pending, self.pending_bytes = {}, 0

    def _take_up(self) -> None:
        """Find the whole shards of an earlier run, up to the first that is not; remove what comes after them."""
        kept = set()
        while self._record(len(self.parts)).is_file():
            path, record = self._part(len(self.parts)), self._record(len(self.parts))
            try:
                found = json.loads(record.read_text(encoding="utf-8"))
                whole = found["sha256"] == sha256_file(path)
            except (OSError, ValueError, KeyError):
                break
            if not whole:
                break
            kept |= {path, record}
            self.parts.append(found["names"])
            self.total_bytes += found["bytes"]
        for path in self.folder.glob("*.safetensors*"):
            if path not in kept:
                path.unlink()

    def _part(self, i: int) -> Path:
        return self.folder / f"part-{i}.safetensors"

    def _record(self, i: int) -> Path:
        return self.folder / f"part-{i}.safetensors.json"
