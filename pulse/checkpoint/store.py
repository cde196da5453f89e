"""A model's state from and to a checkpoint folder of our own layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.errors import UserError
from edge_runtime.files import replacing_folder
from pulse.checkpoint.checkpoint import CONFIG
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.checkpoint.weights import SINGLE
from pulse.model.config import Config
from pulse.model.llava import Llava


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
    half = {k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    with replacing_folder(folder) as aside:
        save_file(half, aside / SINGLE, metadata={"format": "pt"})
        (aside / CONFIG).write_text(json.dumps(config.to_json(), indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(tokenizer, aside / TOKENIZER)
