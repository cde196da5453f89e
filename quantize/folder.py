"""Output folders that appear whole or not at all: a broken run must not leave something that looks finished."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.errors import UserError


@contextlib.contextmanager
def new_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; rename it to `target` at the end, or remove it when anything fails.

    Raises UserError when `target` is there already (an empty folder may be) or its parent cannot be written to.
    """
    target = Path(target)
    if target.is_symlink() or target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UserError(f"{target}: already exists; remove it or give another --out")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A sibling, not /tmp: a rename within one file system is atomic.
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target.parent}: cannot write there ({error.strerror}); give another --out") from None
    try:
        yield part
        part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
