"""Answers on a processor whose memory is not the CPU's: every kind of ONNX bundle through the WebGPU provider, on a GPU
in software. A graph's inputs are copied there when they are bound, which no run on the CPU shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export

CHROMIUM = Path("/usr/lib/chromium")  # where Debian's chromium-common has SwiftShader
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "nbits": ("int4", {}),
    "qdq": ("int4", {"onnx_style": "qdq"}),
    "float32": ("float32", {}),
}


@pytest.fixture(scope="module")
def vulkan() -> dict[str, str]:
    """The environment of a process that has a GPU in software."""
    if not (CHROMIUM / "libvk_swiftshader.so").exists():
        why = "no Vulkan in software; as root: apt-get install chromium-common"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(CHROMIUM),
        "VK_ICD_FILENAMES": str(CHROMIUM / "vk_swiftshader_icd.json"),
        "ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1",
    }


def ask(bundle: Path, page: Path, provider: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`pulse-ask --json` in a process of its own."""
    argv = [
        "ask",
        str(bundle),
        str(page),
        "--allow-non-ecg",
        "--max-new-tokens",
        "12",
        "--provider",
        provider,
        "--json",
    ]
    code = "import sys; from edge_runtime import commands; sys.exit(getattr(commands, sys.argv.pop(1))())"
    return subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False, env=environment
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_answers_as_the_cpu_does(
    kind: str, checkpoint: Checkpoint, pages: list[Path], vulkan: dict[str, str], tmp_path: Path
) -> None:
    weights, own = KINDS[kind]
    bundle = export(checkpoint, "onnx", weights, tmp_path / kind, pages, **own)[1]
    here, there = (answer(ask(bundle, pages[0], provider, vulkan)) for provider in ("cpu", "webgpu"))
    assert there["token_ids"] == here["token_ids"]
    gaps = [
        abs(one["probability"] - other["probability"])
        for one, other in zip(here["findings"], there["findings"], strict=True)
    ]
    # Were all gaps 0, the CPU would have been compared with itself.
    assert 0 < max(gaps) < 1e-4


# Logits of 48 positions at once, and of one after them, as far as pulse-nano's are apart on the two providers.
APART = """
import numpy as np
from edge_runtime.bundle import Bundle
from edge_runtime.engines import open_engine
bundle, logits = Bundle.read("pulse-nano"), []
for provider in ("cpu", "webgpu"):
    engine = open_engine(bundle, provider=provider)
    many, cache = engine.decode(engine.embed(range(300, 348)), engine.empty_cache())
    logits.append((many, engine.decode(engine.embed([300]), cache)[0]))
print(*[float(np.abs(a - b).max()) for a, b in zip(*logits)])
"""


def test_many_positions_at_once(vulkan: dict[str, str]) -> None:
    """An answer that goes back to an overwritten branch decodes it anew, often more than 31 positions."""
    done = subprocess.run([sys.executable, "-c", APART], capture_output=True, text=True, check=False, env=vulkan)
    assert done.returncode == 0, done.stderr
    gaps = [float(gap) for gap in done.stdout.split()]
    assert 0 < max(gaps) < 1e-4


def test_an_int8_cache_is_refused(
    checkpoint: Checkpoint, pages: list[Path], vulkan: dict[str, str], tmp_path: Path
) -> None:
    bundle = export(checkpoint, "onnx", "int4", tmp_path / "int8", pages, kv="int8")[1]
    done = ask(bundle, pages[0], "webgpu", vulkan)
    assert done.returncode == 2
    assert "provider webgpu takes no int8 cache; export the bundle without --kv int8" in done.stderr


def test_without_a_gpu_there_is_one_line(bundle: Path, pages: list[Path], vulkan: dict[str, str]) -> None:
    done = ask(bundle, pages[0], "webgpu", {k: v for k, v in vulkan.items() if not k.startswith("ORT_WEBGPU")})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "provider webgpu finds no GPU here; install the GPU's driver" in done.stderr
