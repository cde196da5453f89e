"""A checkpoint's index of similar cases and its network of signals go into its bundle, whatever the target, if they are
of the same weights."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edge_runtime.errors import UserError
from export.build import _side_files
from pulse.checkpoint.checkpoint import Checkpoint

FILES = {"cases": "cases.npz", "signals": "signals.npz"}


def test_both_are_copied_where_they_are(tmp_path):
    shipped = Checkpoint.open("pulse-nano")
    assert _side_files(shipped, tmp_path) == FILES
    for file in FILES.values():
        assert (tmp_path / file).read_bytes() == (shipped.folder / file).read_bytes()


@pytest.mark.parametrize("kind", FILES)
def test_one_of_other_weights_is_refused_and_one_that_is_not_there_left_out(tmp_path, kind):
    shipped, file = Checkpoint.open("pulse-nano"), FILES[kind]
    copy, part = Checkpoint.open(shutil.copytree(shipped.folder, tmp_path / "copy")), tmp_path / "bundle"
    part.mkdir()
    with np.load(copy.folder / file) as kept:
        arrays = {**kept, "model": np.array("another")}
    np.savez(copy.folder / file, **arrays)
    with pytest.raises(UserError, match=rf"{file}: was made beside other weights; make it anew with python -m distill"):
        _side_files(copy, part)
    (copy.folder / file).unlink()
    assert _side_files(copy, part) == {name: path for name, path in FILES.items() if name != kind}
