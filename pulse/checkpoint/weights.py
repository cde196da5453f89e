"""A checkpoint folder's tensors, one at a time and by our names: a 14 GB checkpoint is read in little memory.

Layout of transformers: `model.safetensors` alone, or `model-00001-of-00003.safetensors` ... with
`model.safetensors.index.json`, whose `weight_map` names the shard of each tensor; older ones are `pytorch_model.bin`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.checkpoint.adapter import Adapter
from pulse.checkpoint.published import NEWLINE, TABLE, Published
from pulse.files.side_file import check_not_lfs, read_json

_INSIDE = ("state_dict", "model", "module")  # where trainers put the weights beside what else they keep
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_AUTOGPTQ = "gptq_model*.safetensors"  # named after its bits and groups
_FILES = ((SINGLE, INDEX), ("pytorch_model.bin", "pytorch_model.bin.index.json"))


def iter_tensors(
    folder: Path, published: Published | None = None, adapter: Adapter | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, tensor) of every tensor in a checkpoint folder, shard by shard; one tensor in memory at a time.

    published: renames what others wrote. adapter: merged into them. Raises UserError when there are no weights, a shard
    is missing, a file is damaged, or a pickled file holds more than tensors.
    """
    stored = _stored(folder) if adapter is None else adapter.merged(_stored(folder), _all_of)
    if published is None:
        yield from ((name, get()) for name, get in stored)
        return
    newline: Callable[[], Tensor] | None = None
    table: Callable[[], Tensor] | None = None
    for name, get in stored:
        ours = published.name_of(name)
        if ours == NEWLINE:
            newline = get
        elif ours == TABLE and published.config.text.extra_embeddings:
            table = get
        elif ours is not None and not (published.vision and ours.startswith("vision_tower.")):
            yield ours, get()
    if table is not None:
        if newline is None:
            raise UserError(
                f"{folder}: {NEWLINE} is missing, which closes each row of an image here; copy the checkpoint again"
            )
        rows = table()
        yield TABLE, torch.cat([rows, newline().to(rows.dtype)[None]])
    if published.vision:
        for name, get in _stored(published.vision):
            ours = published.name_of(name)
            if ours is not None and ours.startswith("vision_tower."):
                yield ours, get()


def _stored(folder: Path) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """(name, how to get it) of each tensor; valid until the next shard begins."""
    for shard, names in _shards(folder).items():
        path = folder / shard
        if not path.is_file():
            raise UserError(f"{path}: is missing; download the checkpoint again")
        held, get = (_pickled if path.suffix == ".bin" else _safe)(path)
        missing = sorted(set(names) - held)
        if missing:
            raise UserError(f"{path}: tensor {missing[0]} is missing; download the checkpoint again")
        for name in names or sorted(held):
            yield name, get(name)


def _all_of(path: Path) -> dict[str, Tensor]:
    held, get = (_pickled if path.suffix == ".bin" else _safe)(path)
    return {name: get(name)() for name in held}


def _safe(path: Path) -> tuple[set[str], Callable[[str], Callable[[], Tensor]]]:
    def get(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            try:
                with safe_open(path, framework="pt") as file:
                    return file.get_tensor(name)
            except (SafetensorError, OSError) as error:
                raise _damaged(path, error) from None

        return read

    check_not_lfs(path)
    try:
        with safe_open(path, framework="pt") as file:
            return set(file.keys()), get
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None


def _pickled(path: Path) -> tuple[set[str], Callable[[str], Callable[[], Tensor]]]:
    @lru_cache(1)
    def whole() -> dict[str, Tensor]:
        zipped = zipfile.is_zipfile(path)  # PyTorch's format since 1.6; the one before it has to be read whole
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        for key in _INSIDE:
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise UserError(f"{path}: holds no table of tensors; save the model's state_dict() alone")
        return state

    check_not_lfs(path)
    try:
        held = set(whole())
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: is a pickle of more than tensors, which could run anything; convert it to safetensors"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise _damaged(path, error) from None
    return held, lambda name: lambda: whole()[name]


def _damaged(path: Path, error: Exception) -> UserError:
    kind = "PyTorch" if path.suffix == ".bin" else "safetensors"
    return UserError(f"{path}: not a readable {kind} file ({error}); download it again")


def _shards(folder: Path) -> dict[str, list[str]]:
    """Shard file -> the tensors it holds; an empty list means all that are in it."""
    for single, index in _FILES:
        if (folder / single).is_file():
            return {single: []}
        if (folder / index).is_file():
            return _indexed(folder / index)
    if len(found := sorted(folder.glob(_AUTOGPTQ))) == 1:
        return {found[0].name: []}
    for single, index in _FILES:
        if shards := sorted(folder.glob(single.replace(".", "-*-of-*."))):
            raise UserError(f"{folder}: holds {shards[0].name} but no {index}, which says what is where; copy it too")
    raise UserError(f"{folder}: no {SINGLE} and no {INDEX}; give a checkpoint folder with safetensors weights")


def _indexed(path: Path) -> dict[str, list[str]]:
    try:
        weight_map: dict[str, str] = read_json(path)["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"shard {shard!r} is not a plain file name")
            shards.setdefault(shard, []).append(name)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: damaged ({error}); download the checkpoint again") from None
    return shards
