"""What an archive is made of: every input by a name of its own, in one order, from a folder, a tar or a list."""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from edge_runtime.bundle import is_litter
from edge_runtime.errors import UserError
from pulse.archive.places import is_url, opened
from pulse.ecg.formats import REGISTRY

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".pdf")
_TARS = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_LISTS = (".txt", ".lst")
_GIVE = "give a folder, a tar, or a text file with a path on each line"
# Samples that a header speaks for, and tables, which say neither rate nor unit.
_NOT_ALONE = (".dat", ".mat", ".csv", ".tsv", ".txt", ".npy", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True)
class Input:
    """name: of the input in its archive, which no other has. Its file is at `path` or `url`, or a tar's, whose bytes
    are `data`."""

    name: str
    path: Path | None = None
    data: bytes | None = None
    url: str | None = None

    @property
    def is_record(self) -> bool:
        """Whether it holds samples by its name; a DICOM file may hold either."""
        return Path(self.name).suffix.lower() not in PICTURES


def inputs(source: str) -> Iterator[Input]:
    """Every picture, PDF and record of a folder (by its files' endings, in their order), a tar (pictures and PDFs), or
    a list of paths and URLs, a line each; the source itself is a path or a URL.

    Raises UserError when there is no such source, or the tar or list cannot be read.
    """
    if is_url(source):
        yield from _of_url(source)
        return
    path = Path(source)
    if path.is_dir():
        yield from _of_folder(path)
    elif not path.is_file():
        raise UserError(f"{source}: is not there; {_GIVE}")
    else:
        try:
            file = path.open("rb")
        except OSError as error:
            raise UserError(f"{source}: cannot be read ({error.strerror}); {_GIVE}") from None
        yield from _of_file(source, file)


def _of_url(source: str) -> Iterator[Input]:
    system, root = opened(source)
    try:
        if system.isfile(root):
            yield from _of_file(source, system.open(root, "rb"))
            return
        found = sorted(system.find(root))
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror or error}); {_GIVE}") from None
    if not found:
        raise UserError(f"{source}: is not there, or empty; {_GIVE}")
    for path in found:
        name = posixpath.relpath(path, root)
        if _is_wanted(name):
            yield Input(name, url=f"{source.rstrip('/')}/{name}")


def _of_file(source: str, file: IO[bytes]) -> Iterator[Input]:
    with file:
        if source.lower().endswith(_TARS):
            yield from _of_tar(source, file)
        elif Path(source).suffix.lower() in _LISTS:
            yield from _of_list(source, file)
        else:
            raise UserError(
                f"{source}: is no folder, no tar and no list (.txt); for one file there are pulse-ask and pulse-page"
            )


def _of_folder(folder: Path) -> Iterator[Input]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(root, name)
            own = path.relative_to(folder).as_posix()
            if _is_wanted(own):
                yield Input(own, path)


@cache
def _endings() -> frozenset[str]:
    """Of what stands for itself in a folder."""
    formats = (end for _, form in REGISTRY.all() for end in form.suffixes)
    return frozenset({*PICTURES, ".dcm", *formats} - {*_NOT_ALONE})


def _is_wanted(name: str) -> bool:
    return Path(name).suffix.lower() in _endings() and not is_litter(name)


def _of_tar(source: str, file: IO[bytes]) -> Iterator[Input]:
    try:
        with tarfile.open(fileobj=file) as archive:
            seen = set()
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isfile() or Path(name).suffix.lower() not in (*PICTURES, ".dcm") or is_litter(name):
                    continue
                if name in seen:  # each input once: a tar may hold a name twice
                    continue
                seen.add(name)
                inside = archive.extractfile(member)
                assert inside is not None  # it is a file
                yield Input(name, None, inside.read())
            _check_end(archive)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{source}: is no readable tar ({error}); copy it again") from None


def _check_end(archive: tarfile.TarFile) -> None:
    """Raises TarError unless a block of zeros ends it (POSIX.1-2017, pax); tarfile takes a cut header for the end."""
    inside = archive.fileobj
    assert inside is not None  # it is open
    inside.seek(archive.offset)
    if inside.read(tarfile.BLOCKSIZE).strip(b"\0") or inside.tell() < archive.offset + tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut off")


def _of_list(source: str, file: IO[bytes]) -> Iterator[Input]:
    try:
        lines = file.read().decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source}: cannot be read ({error}); give a text file with a path on each line") from None
    folder = posixpath.dirname(source)
    seen = set()
    for line in lines:
        name = line.strip()
        if name and name not in seen:  # each input once
            seen.add(name)
            yield Input(name, url=name) if is_url(name) else _beside(folder, name)


def _beside(folder: str, name: str) -> Input:
    """A list's path: absolute, of this machine and all that read, or relative to the list's folder."""
    far = is_url(folder) and not name.startswith("/")
    return Input(name, url=f"{folder}/{name}") if far else Input(name, Path(folder, name))
