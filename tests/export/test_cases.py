"""A checkpoint's index of similar cases goes into its bundle, whatever the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from export.build import _cases


@dataclass
class Source:
    folder: Path


def test_the_index_is_copied_where_there_is_one(tmp_path):
    source, part = Source(tmp_path / "checkpoint"), tmp_path / "bundle"
    source.folder.mkdir()
    part.mkdir()
    assert _cases(source, part) == {}
    (source.folder / "cases.npz").write_bytes(b"the index")
    assert _cases(source, part) == {"cases": "cases.npz"}
    assert (part / "cases.npz").read_bytes() == b"the index"
