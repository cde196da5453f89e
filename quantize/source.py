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

    Raises UserError when there is no such folder; a hub id gets its own reason.
    """
    if model == NANO:
        return Path(str(resources.files("pulse"))) / "nano"
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{folder}: is a file; give a checkpoint folder, or {NANO}")
    if _HUB_ID.fullmatch(model) and not model.startswith("."):
        raise UserError(f"{model}: no such folder, and hub ids cannot be fetched yet; download it and give its folder")
    raise UserError(f"{shorten(model)}: no such folder; give a checkpoint folder, or {NANO}")
