"""Measuring: every figure is there and adds up, and the command refuses in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

from edge_runtime import measure as module
from edge_runtime.errors import UserError
from edge_runtime.measure import FIGURES, main, measure, peak_bytes


def test_figures_of_every_reading(tiny, page, page_file):
    result = measure(tiny.folder, page_file, runs=3, threads=1)
    assert set(result["cold"]) == set(result["warm"]) == set(FIGURES)
    for name in FIGURES:
        assert len(result["warm"][name]) == 3
        assert all(value >= 0 for value in (result["cold"][name], *result["warm"][name]))
    for k in range(3):
        parts = ("preprocess_ms", "vision_ms", "prefill_ms")
        assert sum(result["warm"][name][k] for name in parts) <= result["warm"]["first_token_ms"][k]
        assert result["warm"]["first_token_ms"][k] < result["warm"]["total_ms"][k]
    prompt = tiny.prompt(page, "Describe this page.")
    assert result["prompt_positions"] == len(prompt)
    assert result["token_ids"] == tiny.twin.greedy(prompt, 8)
    assert result["tokens"] == 8
    assert result["probabilities"].keys() == {"NORM", "MI"}
    assert 10e6 < result["peak_bytes"] <= peak_bytes()


def test_context_is_filled_by_a_longer_question(tiny, page_file):
    plain = measure(tiny.folder, page_file, runs=1, threads=1, max_new_tokens=1)
    # The tiny model has 96 positions, and the filler about 44 of its tokens.
    filled = measure(tiny.folder, page_file, runs=1, threads=1, context=95, max_new_tokens=1)
    assert plain["prompt_positions"] < filled["prompt_positions"] <= 95
    assert filled["tokens"] == 1
    with pytest.raises(UserError, match=r"context 10: page and question take \d+ positions; give more"):
        measure(tiny.folder, page_file, runs=1, threads=1, context=10)


def test_fewer_tiles_are_fewer_positions(variant, tmp_path):
    """A model that cuts pages: a large one has the squashed tile and 2 x 2 more, or fewer where fewer are allowed."""
    folder = variant(preprocess={"mode": "anyres", "merge": "flat", "pinpoints": [[96, 32], [96, 64]]})
    page_file = tmp_path / "large.png"
    Image.effect_noise((192, 128), 80).save(page_file)
    positions = {
        tiles: measure(folder, page_file, runs=1, threads=1, tiles=tiles, max_new_tokens=1)["image_positions"]
        for tiles in (None, 5, 3, 1)
    }
    assert positions[None] == positions[5]
    assert (positions[5] - positions[3], positions[3] - positions[1]) == (12, 12)  # six tokens a tile
    with pytest.raises(UserError, match=r"--tiles 2: this model's pages have 1, 3, 5 tiles"):
        measure(folder, page_file, tiles=2)


def test_energy_counts_packages_once(tmp_path):
    """A recorded tree of powercap: two packages, one with a part of it."""
    for name, joules in (("intel-rapl:0", 5), ("intel-rapl:0:0", 3), ("intel-rapl:1", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{joules}\n")
    assert module.energy_used(tmp_path) == 12
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert module.energy_used(tmp_path) is None  # as where it may not be read
    assert module.energy_used(tmp_path / "none") is None


def test_command(tiny, page_file, capsys):
    """As a device runs it: a process of its own, JSON on stdout, one line and status 2 when it refuses."""
    command = [sys.executable, "-m", "edge_runtime.measure", str(tiny.folder), str(page_file), "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    result = json.loads(done.stdout)
    assert 0 < result["import_ms"] < 60_000
    assert result["peak_bytes"] > 10e6
    assert main([str(tiny.folder), str(page_file), "--provider", "cuda"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("edge_runtime.measure: provider cuda is not here; this ONNX Runtime has cpu")
    assert err.count("\n") == 1
