"""A published checkpoint's folder, changed as people change theirs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.golden import GOLDEN


def golden_copy(folder: Path, model: str = "a") -> Path:
    """A copy of a golden checkpoint with its tower beside it, in a new folder there; returns the checkpoint's."""
    shutil.copytree(GOLDEN / model, folder / model, ignore=shutil.ignore_patterns("cases"))
    return folder / model / "checkpoint"


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: t for path in sorted(folder.glob("*.safetensors")) for name, t in load_file(path).items()}


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    save_file(tensors, folder / "model.safetensors")


def change(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
