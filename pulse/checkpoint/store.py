"""Checkpoints on disk: config.json, weights, tokenizer; ours and those that others publish."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.errors import UserError
from pulse.checkpoint.published import KINDS, Published, read_published
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.checkpoint.weights import SINGLE, iter_tensors
from pulse.model.config import MODEL_TYPE, Config, parse_config
from pulse.model.llava import Llava


def read_source(folder: Path) -> tuple[Config, Published | None]:
    """A checkpoint folder's config, and how it was published if it is not in our own layout.

    Raises UserError when config.json is missing, no JSON or another model's.
    """
    path = Path(folder) / "config.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json; give a checkpoint folder") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); copy the checkpoint again") from None
    kind = data.get("model_type") if isinstance(data, dict) else None
    if kind in KINDS:
        published = read_published(Path(folder), data)
        return published.config, published
    if kind != MODEL_TYPE:
        known = ", ".join((MODEL_TYPE, *KINDS))
        raise UserError(f"{path} describes a model of type {kind!r}; this version reads {known} checkpoints")
    return parse_config(data, path), None


def load_checkpoint(folder: Path) -> Llava:
    """The float model of a checkpoint folder, in float32 and ready to evaluate.

    Raises UserError when a file is missing or the tensors are not those of the config, listing them.
    """
    config, published = read_source(folder)
    with torch.device("meta"):
        model = Llava(config)
    state = {name: t.float() if t.is_floating_point() else t for name, t in iter_tensors(Path(folder), published)}
    load_state(model, state, str(folder))
    return model.eval()


def load_state(model: Llava, state: dict[str, Tensor], where: str) -> None:
    """Give the model the tensors of `state` themselves, without a copy.

    Raises UserError that lists missing, unknown and misshapen tensors in one message.
    """
    wanted = model.state_dict()
    missing = sorted(wanted.keys() - state.keys())
    unknown = sorted(state.keys() - wanted.keys())
    shapes = sorted(k for k in wanted.keys() & state.keys() if wanted[k].shape != state[k].shape)
    faults = {"missing": missing, "unknown": unknown, "of another shape": shapes}
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in faults.items() if names)
        raise UserError(f"{where}: the tensors are not those of its config.json ({listed}); copy the checkpoint again")
    model.load_state_dict(state, assign=True)


def save_checkpoint(folder: Path, config: Config, state: dict[str, Tensor], tokenizer: Path) -> None:
    """Write a checkpoint whole or not at all; float tensors are stored as float16."""
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    half = {k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    save_file(half, partial / SINGLE, metadata={"format": "pt"})
    (partial / "config.json").write_text(json.dumps(config.to_json(), indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(tokenizer, partial / TOKENIZER)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
