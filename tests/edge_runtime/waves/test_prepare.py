"""What the network is given does not depend on rate, size or baseline, and what is absent stays absent."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.waves.prepare import FS, normalize, resample


@pytest.mark.parametrize("fs", [100.0, 240.0, 250.0, 360.0, 500.0, 1000.0])
def test_a_slow_wave_keeps_its_shape_and_its_place(fs: float) -> None:
    wave = np.sin(2 * np.pi * 7 * np.arange(int(4 * fs)) / fs)[None].astype(np.float32)
    made, present = resample(wave, fs)
    true = np.sin(2 * np.pi * 7 * np.arange(made.shape[1]) / FS)
    assert present.all()
    assert np.abs(made[0] - true)[20:-20].max() < 0.02
    assert made.shape[1] == pytest.approx(4 * FS, abs=FS / fs)


def test_what_is_too_fast_does_not_come_back_as_something_slow() -> None:
    hiss = np.sin(2 * np.pi * 220 * np.arange(2000) / 500)[None].astype(np.float32)  # 220 Hz would become 30 Hz
    assert np.abs(resample(hiss, 500.0)[0][:, 20:-20]).max() < 0.05


def test_gaps_are_bridged_and_said() -> None:
    mv = np.linspace(0, 1, 1000, dtype=np.float32)[None].repeat(2, 0)
    mv[0, 400:600] = np.nan
    mv[1] = np.nan
    made, present = resample(mv, 500.0)
    assert np.abs(made[0] - np.linspace(0, 1, 1000)[::2]).max() < 0.01
    assert not present[0, 200:300].any()
    assert present[0, :199].all()
    assert not present[1].any()
    assert not made[1].any()
    assert not normalize(made, present)[0, 200:300].any()


def test_size_and_level_do_not_matter_but_a_still_line_stays_still() -> None:
    mv = np.random.default_rng(0).normal(0, 0.3, (1, 1000)).astype(np.float32)
    there = np.ones((1, 1000), bool)
    assert np.allclose(normalize(mv, there), normalize(5 * mv + 3, there), atol=1e-3)
    assert np.abs(normalize(mv / 1000, there)).max() < 0.1
