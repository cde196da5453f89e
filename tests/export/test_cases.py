"""A checkpoint's index of similar cases goes into its bundle, whatever the target, if it is of the same weights."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edge_runtime.errors import UserError
from export.build import _cases
from pulse.checkpoint.checkpoint import Checkpoint


def test_the_index_is_copied_where_there_is_one_of_these_weights(tmp_path):
    shipped, part = Checkpoint.open("pulse-nano"), tmp_path / "bundle"
    part.mkdir()
    assert _cases(shipped, part) == {"cases": "cases.npz"}
    assert (part / "cases.npz").read_bytes() == (shipped.folder / "cases.npz").read_bytes()
    copy = Checkpoint.open(shutil.copytree(shipped.folder, tmp_path / "copy"))
    with np.load(copy.folder / "cases.npz") as kept:
        arrays = {**kept, "model": np.array("another")}
    np.savez(copy.folder / "cases.npz", **arrays)
    with pytest.raises(UserError, match="cases of other weights; make it anew"):
        _cases(copy, part)
    (copy.folder / "cases.npz").unlink()
    assert _cases(copy, part) == {}
