"""Peaks are those of the stage, limits are refused before work, and given-back pages read the same again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import safe_open, save_file

from edge_runtime.errors import UserError
from pulse.files.memory import MEMORY, Meter, _status, check_plan, in_child, parse_size, release_mapped

BYTES = 200_000_000
linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")


@linux
def test_each_stage_has_a_peak_of_its_own(tmp_path: Path) -> None:
    meter = Meter()
    with meter.stage("large"):
        np.ones(BYTES, np.uint8)
    with meter.stage("small"):
        np.ones(1000, np.uint8)
    large, small = meter.peaks["large"], meter.peaks["small"]
    assert large.resident - small.resident > 0.9 * BYTES
    meter.write(tmp_path)
    stages = json.loads((tmp_path / MEMORY).read_text())["stages"]
    assert list(stages) == ["large", "small"]
    assert stages["large"]["peak_resident"] == large.resident
    assert "large" in meter.as_text()


def test_a_stage_that_fails_is_not_recorded() -> None:
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.stage("broken"):
        _ = 1 / 0
    assert not meter.peaks


@linux
def test_given_back_pages_are_read_again(tmp_path: Path) -> None:
    save_file({"w": torch.arange(BYTES // 4, dtype=torch.int32)}, tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", framework="pt") as file:
        mapped = file.get_tensor("w")
    total = mapped.sum()
    held = _status("RssFile")
    release_mapped()
    assert held - _status("RssFile") > 0.9 * BYTES
    assert mapped.sum() == total


@pytest.mark.parametrize(
    ("text", "size"), [("6GB", 6e9), ("512m", 512e6), ("4GiB", 4 * 1024**3), ("1.5 GB", 1.5e9), ("64KB", 64e3)]
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["6", "GB", "-1GB", "0GB", "6 gigabytes", ""])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UserError, match="is not a size"):
        parse_size(text)


def test_a_plan_is_refused_by_its_largest_stage() -> None:
    plan = {"one": 2_000_000_000, "two": 3_000_000_000}
    check_plan(plan, None)
    check_plan(plan, 3_000_000_000)
    with pytest.raises(UserError, match=r"the stage two takes about 3\.0 GB, more than --max-memory 2\.5 GB"):
        check_plan(plan, 2_500_000_000)


@linux
def test_a_childs_memory_counts_and_goes_with_it() -> None:
    def work() -> int:
        return int(np.ones(2 * BYTES, np.uint8).sum())

    meter = Meter()
    with meter.stage("before"):
        pass
    with meter.stage("child"):
        assert in_child(work) == 2 * BYTES
    with meter.stage("after"):
        pass
    before, child, after = (meter.peaks[name].anonymous or 0 for name in ("before", "child", "after"))
    assert child - max(before, after) > 1.5 * BYTES
    assert meter.peaks["child"].resident > child  # its files too


def test_a_childs_error_is_the_callers() -> None:
    def fail() -> None:
        raise UserError("not so")

    with pytest.raises(UserError, match="not so"):
        in_child(fail)


def test_a_child_that_is_killed_is_said() -> None:
    with pytest.raises(RuntimeError, match="a child process ended with -9"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))
