"""What an archive is made of: every input by a name of its own, in one order, from a folder, a tar or a list."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import is_litter
from edge_runtime.errors import UserError
from pulse.ecg.formats import REGISTRY

PICTURES = (".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".pdf")
_TARS = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
_LISTS = (".txt", ".lst")
# Samples that a header speaks for, and tables, which say neither rate nor unit.
_NOT_ALONE = (".dat", ".mat", ".csv", ".tsv", ".txt", ".npy", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True)
class Input:
    """name: of the input in its archive, which no other has. path: its file. data: its bytes, from a tar."""

    name: str
    path: Path | None = None
    data: bytes | None = None

    @property
    def is_record(self) -> bool:
        """Whether it holds samples by its name; a DICOM file may hold either."""
        return Path(self.name).suffix.lower() not in PICTURES


def inputs(source: Path) -> Iterator[Input]:
    """Every picture, PDF and record of a folder (by its files' endings, in their order), a tar (pictures and PDFs), or
    a list of paths, a line each.

    Raises UserError when there is no such source, or the tar or list cannot be read.
    """
    if source.is_dir():
        yield from _of_folder(source)
    elif not source.is_file():
        raise UserError(f"{source}: is not there; give a folder, a tar, or a text file with a path on each line")
    elif source.name.lower().endswith(_TARS):
        yield from _of_tar(source)
    elif source.suffix.lower() in _LISTS:
        yield from _of_list(source)
    else:
        raise UserError(
            f"{source}: is no folder, no tar and no list (.txt); for one file there are pulse-ask and pulse-page"
        )


def _of_folder(folder: Path) -> Iterator[Input]:
    known = {*PICTURES, ".dcm", *(end for _, form in REGISTRY.all() for end in form.suffixes)} - {*_NOT_ALONE}
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(root, name)
            own = path.relative_to(folder).as_posix()
            if path.suffix.lower() in known and not is_litter(own):
                yield Input(own, path)


def _of_tar(source: Path) -> Iterator[Input]:
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if not member.isfile() or Path(name).suffix.lower() not in (*PICTURES, ".dcm") or is_litter(name):
                    continue
                file = archive.extractfile(member)
                assert file is not None  # it is a file
                yield Input(name, None, file.read())
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{source}: is no readable tar ({error}); copy it again") from None


def _of_list(source: Path) -> Iterator[Input]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{source}: cannot be read ({error}); give a text file with a path on each line") from None
    seen = set()
    for line in lines:
        name = line.strip()
        if name and name not in seen:  # each input once
            seen.add(name)
            yield Input(name, source.parent / name)
