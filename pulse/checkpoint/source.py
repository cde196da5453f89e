"""What MODEL on a command line means, in one place for every command that takes a checkpoint."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from edge_runtime.errors import UserError, shorten

NANO = "pulse-nano"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def checkpoint_folder(model: str) -> Path:
    """The folder of a checkpoint: the shipped one for "pulse-nano", otherwise the folder of that name.

    An id such as PULSE-ECG/PULSE-7B, where there is no folder of that name, is fetched from the Hugging Face hub into
    its own cache. Raises UserError when there is no such folder, or the hub cannot be reached or does not have it.
    """
    if model == NANO:
        return Path(str(resources.files("pulse"))) / "nano"
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{folder}: is a file; give a checkpoint folder, or {NANO}")
    if _HUB_ID.fullmatch(model) and not model.startswith("."):
        return _from_hub(model)
    raise UserError(f"{shorten(model)}: no such folder; give a checkpoint folder, or {NANO}")


def _from_hub(model: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(
            f"{model}: no such folder, and hub ids need huggingface_hub; pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.bin", "tokenizer.model"]))
    # Its own errors, and those of whatever HTTP library its version uses.
    except Exception as error:
        reason = shorten(" ".join(str(error).split()), 120)
        raise UserError(
            f"{model}: no such folder, and the hub does not give it ({reason}); download it and give its folder"
        ) from None
