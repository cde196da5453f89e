"""Two processes, or two parts of a batch, train what one process trains that takes the batch whole."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from distill.curves import draw_curves
from distill.dataset_cache import DatasetCache
from distill.distributed import Distributed
from distill.recipe import distill
from edge_runtime.errors import UserError
from tests.distill.conftest import tiny_recipe, with_dataset
from tests.distill.one_process import main

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def begun(data: Path, dataset: DatasetCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run up to its features: without its decoder."""
    out = with_dataset(data, tmp_path_factory.mktemp("begun") / "run")
    distill(data, out, tiny_recipe(), CPU)
    for name in ("decoder.pt", "decoder.csv", "curves.png", "pulse-nano", "pulse-nano-float16"):
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return out


@pytest.fixture(scope="module")
def alone(data: Path, begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process that takes every batch whole."""
    out = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(begun, out)
    main(tiny_recipe(), data, out, 1)
    return out


def test_two_processes_have_the_curve_of_one(data: Path, begun: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(begun, out)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    argv = [str(ROOT / "tests" / "distill" / "one_process.py"), str(data), str(out), "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *argv], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (out / "size").read_text() == "2"
    same_curves(alone, out)


def test_parts_of_a_batch_have_the_curve_of_the_whole(data: Path, begun: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(begun, out)
    main(tiny_recipe(), data, out, 4)
    same_curves(alone, out)


def same_curves(one: Path, other: Path) -> None:
    """Decoders: up to the order of addition. Towers: each part's loss is a mean over the targets known in it."""
    assert losses(other / "decoder.csv") == pytest.approx(losses(one / "decoder.csv"), rel=1e-3)
    assert losses(other / "tower" / "tower.csv") == pytest.approx(losses(one / "tower" / "tower.csv"), rel=0.02)
    a, b = (load_file(run / "pulse-nano-float16" / "model.safetensors") for run in (one, other))
    name = "language_model.model.layers.0.mlp.down_proj.weight"
    assert (a[name] - b[name]).abs().max() < 0.02 * a[name].abs().max()


def losses(path: Path) -> list[float]:
    with path.open(newline="") as file:
        found = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(found) == 2
    return found


def test_a_team_of_one_takes_its_batches_whole() -> None:
    distributed, order = Distributed(CPU), np.arange(11)
    assert distributed.share(order, 4).tolist() == list(range(8))
    assert (distributed.size, distributed.rank, distributed.main, distributed.sum(2.5)) == (1, 0, True, 2.5)


def test_a_team_shares_each_batch() -> None:
    distributed = Distributed(CPU, accumulate=2)
    distributed.size = 2
    assert distributed.part(8) == 2
    shares = []
    for distributed.rank in range(2):
        shares.append(distributed.share(np.arange(19), 8).reshape(-1, 4))
    assert np.concatenate(shares, axis=1).tolist() == np.arange(16).reshape(2, 8).tolist()
    with pytest.raises(UserError, match="batch of 6 is not shared evenly by 2 processes in 2 parts"):
        distributed.part(6)


def test_curves_are_drawn_of_what_is_there(alone: Path, tmp_path: Path) -> None:
    assert (alone / "curves.png").read_bytes()[:4] == b"\x89PNG"
    shutil.copy(alone / "tower.csv", tmp_path)
    few = draw_curves(tmp_path)
    assert few.stat().st_size < (alone / "curves.png").stat().st_size
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["curves.png", "tower.csv"]
