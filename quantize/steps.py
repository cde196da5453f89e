"""The steps of a calibration on disk: what each found, and the activations that the next one begins with.

A step counts when its record is there, which is written last and holds the digests of its files. Activations are kept
of the last step alone: they are as large as the texts, while what was found grows to the size of the quantized model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.bundle import sha256_file

_FOUND, _STATES, _RECORD = "found.safetensors", "state-*.safetensors", "whole.json"


class Steps:
    """A folder of steps; `done` of them are whole. One that was cut off, and all if a file of them is damaged, are
    thrown away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.done = self._taken_up()

    def finish(self, states: Iterable[Tensor], found: Callable[[], Mapping[str, Tensor]]) -> None:
        """Write the next step: its activations as they come, then what it found, which is asked for at the end."""
        step = self._step(self.done)
        step.mkdir()
        for i, state in enumerate(states):
            save_file({"x": state.contiguous()}, step / _STATES.replace("*", f"{i:05d}"))
        save_file(dict(found()), step / _FOUND)
        record = {path.name: sha256_file(path) for path in sorted(step.iterdir())}
        (step / _RECORD).write_text(json.dumps(record), encoding="utf-8")
        self.done += 1
        self._forget()

    def states(self) -> Iterator[Tensor]:
        """The activations of the last step, each read from its file when its turn comes."""
        for path in sorted(self._step(self.done - 1).glob(_STATES)):
            with safe_open(path, framework="pt") as file:
                yield file.get_tensor("x")

    def found(self) -> Found:
        return Found([self._step(k) / _FOUND for k in range(self.done)])

    def _taken_up(self) -> int:
        done = 0
        while (self._step(done) / _RECORD).is_file():
            done += 1
        self.done = done
        self._forget()
        last = done - 1
        if not all(_whole(self._step(k), (_FOUND,) if k < last else (_FOUND, _STATES)) for k in range(done)):
            done = 0
        for path in self.folder.iterdir():
            if path not in {self._step(k) for k in range(done)}:
                shutil.rmtree(path)
        return done

    def _forget(self) -> None:
        for k in range(self.done - 1):
            for path in self._step(k).glob(_STATES):
                path.unlink()

    def _step(self, k: int) -> Path:
        return self.folder / f"step-{k:03d}"


class Found(Mapping[str, dict[str, Tensor]]):
    """What the steps found, by the name of the weight: its tensors by their last names, in the mapped files."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._at: dict[str, tuple[Path, list[str]]] = {}
        for path in paths:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118  (not a dict)
                    self._at.setdefault(f"{key.rpartition('.')[0]}.weight", (path, []))[1].append(key)

    def __getitem__(self, name: str) -> dict[str, Tensor]:
        path, keys = self._at[name]
        with safe_open(path, framework="pt") as file:
            return {key.rpartition(".")[2]: file.get_tensor(key) for key in keys}

    def __iter__(self) -> Iterator[str]:
        return iter(self._at)

    def __len__(self) -> int:
        return len(self._at)


def _whole(step: Path, patterns: tuple[str, ...]) -> bool:
    """Whether the files that the record names and that fit a pattern are there, as they were written."""
    try:
        record: dict[str, str] = json.loads((step / _RECORD).read_text(encoding="utf-8"))
        wanted = [name for name in record if any(Path(name).match(pattern) for pattern in patterns)]
        return _FOUND in wanted and all(sha256_file(step / name) == record[name] for name in wanted)
    except (OSError, ValueError, AttributeError):
        return False
