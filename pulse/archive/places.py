"""A folder on this machine or on any file system that fsspec knows: what sources are read from and parts are kept in.

https://filesystem-spec.readthedocs.io: s3://, gs://, az://, sftp://, hdfs:// ... Each needs its own package, and takes
keys and the like from fsspec's configuration files or the environment, never from the command line.
"""

from __future__ import annotations

import contextlib
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edge_runtime.errors import UserError

_PARTIAL = ".partial."


def is_url(place: str) -> bool:
    """Whether it names a file system of fsspec's, not a path of this machine."""
    return "://" in place


def opened(url: str) -> tuple[Any, str]:
    """The file system (an fsspec.AbstractFileSystem) and the path in it. Raises UserError when it cannot be used."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
    # Each file system has errors of its own for a host or a key that is wrong.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{url}: cannot be opened ({reason}); see fsspec's file systems") from None
    return system, str(path)


def _here(path: str) -> tuple[Any, str]:
    """As a path, not a URL, in which % and # mean something else."""
    import fsspec

    return fsspec.filesystem("file"), str(Path(path).absolute())


class Folder:
    """A folder by its path or URL. Whoever reads it, at any moment, finds whole files only."""

    def __init__(self, place: str) -> None:
        """Raises UserError when it cannot be opened."""
        self.place = place
        self._system, self._path = opened(place) if is_url(place) else _here(place)

    def make(self) -> None:
        """Make it, unless it is there. Raises OSError."""
        self._system.makedirs(self._path, exist_ok=True)

    def names(self) -> list[str]:
        """Of the files in it, sorted; what a kill left half written is none. Raises OSError."""
        self._system.invalidate_cache()
        found = (posixpath.basename(path) for path in self._system.ls(self._path, detail=False))
        return sorted(name for name in found if not name.startswith(_PARTIAL))

    def open(self, name: str) -> IO[bytes]:
        """To read it. Raises OSError."""
        file: IO[bytes] = self._system.open(f"{self._path}/{name}", "rb")
        return file

    def write(self, name: str, data: bytes) -> None:
        """Put a file there, or in place of the one that is there. Raises OSError."""
        aside, path = (f"{self._path}/{prefix}{name}" for prefix in (_PARTIAL, ""))
        self._system.pipe_file(aside, data)
        self._system.mv(aside, path)


@contextlib.contextmanager
def fetched(url: str, with_kin: bool) -> Iterator[Path]:
    """The file at a URL as one of this machine, while it is needed. with_kin: and its neighbours of the same stem, as
    the samples of a WFDB header are. Raises OSError and UserError."""
    system, path = opened(url)
    stem = posixpath.splitext(path)[0]
    paths = system.glob(f"{stem}.*") if with_kin else [path]
    with tempfile.TemporaryDirectory() as folder:
        for one in paths or [path]:
            system.get_file(one, f"{folder}/{posixpath.basename(one)}")
        yield Path(folder, posixpath.basename(path))
