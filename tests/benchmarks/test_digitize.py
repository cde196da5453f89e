"""Signals read from pages are scored against the records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cli import main
from benchmarks.metrics.snr import nearness

FS = 500.0
TIME = np.arange(5000) / FS
TRUE = np.exp(-(((TIME % 0.8) - 0.4) ** 2) / 0.0005)


def test_the_same_signal_shifted_and_raised_is_near() -> None:
    read = np.full(5000, np.nan)
    read[1000:2250] = 3 + TRUE[1040:2290]
    found = nearness(TRUE, FS, read, FS)
    assert found.snr > 80
    assert found.correlation == pytest.approx(1)


def test_noise_counts_by_its_power_and_what_is_missing_as_nothing() -> None:
    power = float((TRUE - TRUE.mean()).std())
    noise = np.random.default_rng(0).normal(0, power / 10, 5000)
    assert nearness(TRUE, FS, TRUE + noise, FS).snr == pytest.approx(20, abs=0.7)
    gap = np.where((TIME > 2) & (TIME < 4), np.nan, TRUE)
    assert nearness(TRUE, FS, gap, FS).snr == pytest.approx(-10 * np.log10(0.2), abs=0.7)
    assert nearness(TRUE, FS, np.full(5000, np.nan), FS) == (0.0, None)


def test_another_signal_is_far() -> None:
    other = np.exp(-(((TIME % 1.1) - 0.4) ** 2) / 0.0005)
    assert nearness(TRUE, FS, other, FS).snr < 3


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "digitize.json"
    assert main(["digitize", "--limit", "2", "--out", str(out)]) == 0
    assert "leads read" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert [row["kind"] for row in result["pages"]] == ["2x6", "3x4+3rhythm"]
    assert result["figures"]["2x6"]["leads_read"] == 0  # nothing says how two rows are to be named
    assert result["figures"]["3x4+3rhythm"]["leads_right"] == 1
    assert result["figures"]["3x4+3rhythm"]["snr_median"] > 10


def test_a_folder_without_records_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digitize", "--data", str(tmp_path)]) == 2
    assert "give NAME.jpg and NAME.hea" in capsys.readouterr().err
