"""Safetensors folders read and written a tensor at a time: a 14 GB checkpoint is handled in little memory.

Layout of transformers: `model.safetensors` alone, or `model-00001-of-00003.safetensors` ... with
`model.safetensors.index.json`, whose `weight_map` names the shard of each tensor.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.errors import UserError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def iter_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of every tensor in a checkpoint folder, shard by shard; one tensor in memory at a time.

    Raises UserError when there are no weights, a shard is missing, or a file is damaged.
    """
    for shard, names in _shards(folder).items():
        path = folder / shard
        try:
            with safe_open(path, framework="pt") as file:
                missing = sorted(set(names) - set(file.keys())) if names else []
                if missing:
                    raise UserError(f"{path}: tensor {missing[0]} is missing; download the checkpoint again")
                for name in names or file.keys():
                    yield name, file.get_tensor(name)
        except FileNotFoundError:
            raise UserError(f"{path}: is missing; download the checkpoint again") from None
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: not a readable safetensors file ({error}); download it again") from None


def _shards(folder: Path) -> dict[str, list[str]]:
    """Shard file -> the tensors it holds; an empty list means all that are in it."""
    if (folder / SINGLE).is_file():
        return {SINGLE: []}
    if not (folder / INDEX).is_file():
        raise UserError(f"{folder}: no {SINGLE} and no {INDEX}; give a checkpoint folder with safetensors weights")
    try:
        weight_map: dict[str, str] = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"shard {shard!r} is not a plain file name")
            shards.setdefault(shard, []).append(name)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{folder / INDEX}: damaged ({error}); download the checkpoint again") from None
    return shards


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
