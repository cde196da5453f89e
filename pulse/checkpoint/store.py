"""A model's state from and to a checkpoint folder of our own layout."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from edge_runtime.files import replacing_folder
from pulse.checkpoint.checkpoint import CONFIG
from pulse.checkpoint.mismatch import mismatch
from pulse.checkpoint.tokenizer import TOKENIZER
from pulse.checkpoint.weights import SINGLE
from pulse.model.config import Config
from pulse.model.llava import Llava


def load_state(model: Llava, state: dict[str, Tensor], folder: Path) -> None:
    """Give the model the tensors of `state`, which were read from `folder`, themselves, without a copy.

    Raises UserError that names missing, unknown and misshapen tensors, or the mistake behind them.
    """
    if (error := mismatch(model.state_dict(), state, folder)) is not None:
        raise error
    model.load_state_dict(state, assign=True)


def save_checkpoint(folder: Path, config: Config, state: dict[str, Tensor], tokenizer: Path) -> None:
    """Write a checkpoint whole or not at all; float tensors are stored as float16."""
    half = {k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}
    with replacing_folder(folder) as aside:
        save_file(half, aside / SINGLE, metadata={"format": "pt"})
        (aside / CONFIG).write_text(json.dumps(config.to_json(), indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(tokenizer, aside / TOKENIZER)
