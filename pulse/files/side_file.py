"""The small JSON files beside a checkpoint's weights, as people bring them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from edge_runtime.errors import UserError

_LFS = b"version https://git-lfs.github.com/spec/"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; a byte order mark before it is passed over. Raises UserError when there is no such
    file, or it holds something else, such as NaN, which JSON does not know."""
    check_not_lfs(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_number)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); copy the checkpoint again") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no JSON object; copy the checkpoint again")
    return data


def check_not_lfs(path: Path) -> None:
    """Raises UserError when a file is Git LFS's pointer to the file that it should be."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(_LFS)) == _LFS
    except OSError:
        return  # whoever reads it says why it cannot be read
    if pointer:
        raise UserError(f"{path}: is a Git LFS pointer, not the file; run git lfs pull where it was cloned")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
