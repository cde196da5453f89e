"""A killed run is taken up where it was; a full disk and a low limit leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmarks.verbs.random_checkpoint import SHAPES, write_random_checkpoint
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.folder import OUT, work_folder
from quantize import checkpoint as module
from quantize.checkpoint import quantize_checkpoint
from quantize.cli import main
from quantize.precision import Precision
from quantize.shards import ShardWriter

LATE = "language_model.model.layers.1.mlp.down_proj.weight"
SHARD = 300_000
KILLED = f"""
import os, signal, sys
from functools import partial
from pathlib import Path
from quantize import checkpoint as module
from quantize.shards import ShardWriter
from pulse.checkpoint.checkpoint import Checkpoint
module.ShardWriter = partial(ShardWriter, shard_bytes={SHARD})
def die(name):
    if name == {LATE!r}:
        os.kill(os.getpid(), signal.SIGKILL)
module.quantize_checkpoint(Checkpoint.open(sys.argv[1]), Path(sys.argv[2]), progress=die)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "source"
    write_random_checkpoint(folder, *SHAPES["tiny"])
    return folder


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ShardWriter", partial(ShardWriter, shard_bytes=SHARD))


@pytest.fixture
def killed(source: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(output that is not there, the shards that a killed run left)."""
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    shards = tmp_path / ".out.work" / OUT
    assert len(list(shards.glob("part-*.json"))) > 1
    return out, shards


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("model*")}


def test_a_killed_run_goes_on_with_its_whole_shards(
    killed: tuple[Path, Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, shards = killed
    first = shards / "part-0.safetensors"
    inode, records = first.stat().st_ino, list(shards.glob("part-*.json"))
    held = {name for record in records for name in json.loads(record.read_text())["names"]}
    stored: list[str] = []
    original = ShardWriter.add
    monkeypatch.setattr(ShardWriter, "add", lambda self, pieces: stored.extend(pieces) or original(self, pieces))
    summary = quantize_checkpoint(Checkpoint.open(source), out)
    assert len(held) > 10
    assert not held & set(stored)
    assert f"{LATE}_packed" in stored
    assert (out / f"model-00001-of-{len(list(out.glob('model-*'))):05d}.safetensors").stat().st_ino == inode
    fresh = quantize_checkpoint(Checkpoint.open(source), tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")
    assert (summary.quantized, summary.bytes_before, summary.bytes_after) == (
        fresh.quantized,
        fresh.bytes_before,
        fresh.bytes_after,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "out"]


def test_a_damaged_shard_is_made_again(killed: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    out, shards = killed
    path = shards / "part-0.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    quantize_checkpoint(Checkpoint.open(source), out)
    quantize_checkpoint(Checkpoint.open(source), tmp_path / "fresh")
    assert contents(out) == contents(tmp_path / "fresh")


def test_work_of_another_recipe_is_thrown_away(killed: tuple[Path, Path], source: Path, tmp_path: Path) -> None:
    out, _ = killed
    quantize_checkpoint(Checkpoint.open(source), out, Precision("int4-g64"))
    quantize_checkpoint(Checkpoint.open(source), tmp_path / "fresh", Precision("int4-g64"))
    assert contents(out) == contents(tmp_path / "fresh")


def test_two_runs_do_not_share_their_work(source: Path, tmp_path: Path) -> None:
    with (
        work_folder(tmp_path / "out", {}) as work,
        pytest.raises(UserError, match="another run is writing there"),
    ):
        quantize_checkpoint(Checkpoint.open(source), tmp_path / "out")
    assert not work.exists()
    assert (tmp_path / "out").is_dir()


@pytest.fixture
def little_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing(source: Path, little_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(source), "--out", str(little_disk / "out")]) == 2
    error = capsys.readouterr().err
    assert "the disk is full" in error
    assert error.count("\n") == 1
    assert list(little_disk.iterdir()) == []


def test_a_limit_is_refused_before_any_work(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ShardWriter", None)
    assert main([str(source), "--out", str(tmp_path / "out"), "--max-memory", "100MB"]) == 2
    error = capsys.readouterr().err
    assert "the stage quantize takes about" in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
