"""emulated://aarch64: ARM's kernels give this machine's answer, and no figure of speed comes out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.devices import open_device
from benchmarks.verbs import latency
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from export.certificate.userland import open_userland


def test_answers_as_here_and_tells_no_times(bundle: Path, page: Path) -> None:
    try:
        open_userland()
    except UserError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    options = ["--runs", "0", "--max-new-tokens", "4"]
    here = open_device("local").measure(bundle, page, options)
    device = open_device("emulated://aarch64")
    there = device.measure(bundle, page, options)
    assert device.evidence == "emulated"
    assert there.keys() == {"prompt_positions", "image_positions", "tokens", "token_ids", "probabilities"}
    assert there["token_ids"] == here["token_ids"]
    assert there["probabilities"] == pytest.approx(here["probabilities"], abs=1e-5)
    assert device.about()["emulator"].startswith("qemu-aarch64 version")
    row = latency.measure(device, [Bundle.load(bundle)], page, (latency.Setting(provider="cuda"),), rounds=1, runs=0)[0]
    assert row["evidence"] == "not_run"
    assert "provider cuda is not here" in row["reason"]


def test_a_row_without_times(bundle: Path, page: Path) -> None:
    """What pulse-bench latency makes of an emulated answer; the answer is this machine's, to save time."""

    class Answering:
        evidence = "emulated"

        def measure(self, *asked: Any) -> dict[str, Any]:
            found = open_device("local").measure(*asked)
            return {"tokens": found["tokens"], "token_ids": found["token_ids"]}

    rows = latency.measure(Answering(), [Bundle.load(bundle)], page, rounds=1, runs=0)  # type: ignore[arg-type]
    assert "figures" not in rows[0]
    assert rows[0]["answer"]["tokens"] == len(rows[0]["answer"]["token_ids"]) > 0
    assert "emulated\n  an answer of" in latency.as_text(rows)


def test_other_processors_are_refused() -> None:
    with pytest.raises(UserError, match="riscv64 cannot be emulated; use emulated://aarch64"):
        open_device("emulated://riscv64")
