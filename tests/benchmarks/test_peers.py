"""Speed beside llama.cpp: what is compared is the same decoder, and what is printed is arithmetic on the times."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.verbs import _peers as peers
from quantize.layers import IntLinear


def test_without_llama_cpp_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    assert main(["peers"]) == 2
    error = capsys.readouterr().err
    assert "llama-cpp-python or gguf is not installed; pip install pulse-edge[peers]" in error
    assert error.count("\n") == 1


def test_figures_by_hand() -> None:
    times = [(2.0, 4.0), (1.0, 2.0), (4.0, 8.0)]  # seconds for 256 tokens, then for 32
    figures = peers.figures_of(times, 256, 32, weight_bytes=10**9, speed=20.0)
    assert figures == {"prefill": [128.0, 64.0, 256.0], "decode": [8.0, 4.0, 16.0], "bandwidth_share": 0.4}
    slower = {"prefill": [64.0, 64.0, 64.0], "decode": [12.0, 12.0, 12.0], "bandwidth_share": 0.6}
    engines = {"llama.cpp": {"256": figures}, "onnx": {"256": slower}}
    text = peers.as_text({"bandwidth_gb_s": 20.0, "weight_bytes": 10**9, "engines": engines})
    assert "| onnx | 256 | 64.0 (64.0 to 64.0) | 0.50x | 12.0 (12.0 to 12.0) | 1.50x | 60 % |" in text


@pytest.mark.slow
def test_every_engine_runs_the_same_decoder(tmp_path: object) -> None:
    pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed: it compiles llama.cpp")
    model, _ = peers.decoder_of_7b(1)
    again, _ = peers.decoder_of_7b(1)
    pairs = [(a, b) for a, b in zip(model.modules(), again.modules(), strict=True) if isinstance(a, IntLinear)]
    assert len(pairs) == 7 + 1
    assert all(np.array_equal(a.weight_packed, b.weight_packed) for a, b in pairs)
    del model, again, pairs
    result = peers.measure(peers.Plan(layers=1, prefill=(16,), decode=2, threads=1, rounds=1), lambda step: None)
    assert list(result["engines"]) == ["llama.cpp", "executorch", "onnx"]
    for rows in result["engines"].values():
        assert rows["16"]["prefill"][0] > 0
        assert rows["16"]["bandwidth_share"] > 0
