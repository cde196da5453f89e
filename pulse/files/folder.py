"""Output folders that appear whole or not at all: a broken run must not leave something that looks finished."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from edge_runtime.errors import UserError

OUT = "out"
_RECIPE, _LOCK = "recipe.json", ".lock"
_FULL = os.strerror(errno.ENOSPC)


@contextlib.contextmanager
def new_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `target`; rename it to `target` at the end, or remove it when anything fails.

    Raises UserError when `target` is there already (an empty folder may be), its parent cannot be written to, or the
    disk is full.
    """
    target = Path(target)
    _check_new(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A sibling, not /tmp: a rename within one file system is atomic.
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from None
    try:
        with _full_disk_said(target):
            yield part
        part.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextlib.contextmanager
def work_folder(target: str | os.PathLike[str], recipe: dict[str, Any]) -> Iterator[Path]:
    """As new_folder, but a run that is killed or interrupted leaves its work for the next one to go on with.

    Yields the folder `.NAME.work` beside `target`; what is put into its OUT becomes `target`, the rest is removed.
    recipe: what the output is made from and how, as JSON; work of another recipe is thrown away. After any error of the
    run's own there is no folder. Raises UserError as new_folder, and when another run is at work there.
    """
    target = Path(target)
    _check_new(target)
    work = target.with_name(f".{target.name}.work")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(target, error) from None
    with alone(work):
        try:
            with _full_disk_said(target):
                wanted, path = json.dumps(recipe, sort_keys=True), work / _RECIPE
                if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
                    _empty(work)
                    path.write_text(wanted, encoding="utf-8")
                (work / OUT).mkdir(exist_ok=True)
                yield work
            os.replace(work / OUT, target)
        except Exception:  # a kill and Ctrl-C are none
            shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)


def _check_new(target: Path) -> None:
    if target.is_symlink() or target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UserError(f"{target}: already exists; remove it or give another --out")


def _cannot_write(target: Path, error: OSError) -> UserError:
    return UserError(f"{target.parent}: cannot write there ({error.strerror}); give another --out")


@contextlib.contextmanager
def _full_disk_said(target: Path) -> Iterator[None]:
    """The libraries that write our files each have an error of their own for a full disk; all quote the system's."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) != errno.ENOSPC and _FULL not in str(error):
            raise
        free = shutil.disk_usage(target.parent).free
        raise UserError(
            f"{target}: the disk is full ({free / 1e6:.0f} MB free); make room or give another --out"
        ) from None


@contextlib.contextmanager
def alone(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the folder's lock, which ends with the process. Raises UserError when another run has it, or the folder
    cannot be made."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder}: another run is writing there; wait for it or give another --out") from None
    try:
        yield
    finally:
        lock.release()


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name == _LOCK:
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
