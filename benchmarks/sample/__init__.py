"""150 real ECGs that come with the project, so that a report needs no download: see ATTRIBUTION.md beside this file."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

SAMPLE, FOLD = "sample", 9
_ARCHIVE = Path(__file__).with_name("ptbxl-fold9-150.tar.xz")


@contextlib.contextmanager
def data_folder(data: str) -> Iterator[Path]:
    """The PTB-XL folder at `data`; for "sample", the project's own records, laid out in the same way for as long as
    the context lasts."""
    if data != SAMPLE:
        yield Path(data)
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(_ARCHIVE) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # Python 3.11.2, Debian 12's; the archive is our own
            archive.extractall(folder)
        yield Path(folder)
