"""Results on disk: one JSON file, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from edge_runtime.errors import UserError
from edge_runtime.files import write_text


def check_writable(path: Path) -> None:
    """Raises UserError now rather than after the measurement."""
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give --out a file name")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{path}: its folder does not exist or cannot be written to; give another --out")


def write_json(path: Path, result: Mapping[str, object]) -> None:
    """Replace `path` by `result`. Raises ValueError for NaN, which JSON lacks: it must have become None before."""
    write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
