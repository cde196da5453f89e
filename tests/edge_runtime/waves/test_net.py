"""The network that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edge_runtime.waves
from edge_runtime.waves.net import CLASSES, TRAINED_ON, layers, log_probabilities, shipped


@pytest.mark.parametrize("size", [1, 63, 625, 2500])
def test_every_sample_gets_a_distribution(size: int) -> None:
    made = log_probabilities(np.random.default_rng(size).normal(size=(3, size)).astype(np.float32))
    assert made.shape == (3, size, len(CLASSES))
    assert np.exp(made).sum(-1) == pytest.approx(1, abs=1e-4)


def test_a_lead_is_read_the_same_alone_and_among_others() -> None:
    signal = np.random.default_rng(0).normal(size=(4, 700)).astype(np.float32)
    assert np.allclose(log_probabilities(signal)[2], log_probabilities(signal[2:3])[0], atol=1e-4)


def test_the_weights_are_those_of_the_layers_and_take_less_than_a_megabyte() -> None:
    weights = shipped()
    for name, taps, wide, out in layers():
        assert weights[f"{name}.w"].shape == (taps * wide, out)
        assert weights[f"{name}.b"].shape == (out,)
    assert len(weights) == 2 * len(list(layers())) + 1
    assert weights[TRAINED_ON].tolist() == list(range(1, 101))
    assert (Path(edge_runtime.waves.__file__).parent / "delineator.npz").stat().st_size < 1_000_000
