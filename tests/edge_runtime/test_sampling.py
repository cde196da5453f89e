"""Which tokens may be drawn, and how often."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.sampling import Sampler, log_softmax

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], np.float32))


def test_greedy_takes_the_likeliest_and_the_first_of_equals():
    assert Sampler()(LOGITS) == 1
    assert Sampler(seed=4)(np.array([0, 7, 7, 1], np.float32)) == 1


def test_temperature_one_draws_the_model_s_own_distribution():
    sampler = Sampler(temperature=1.0, seed=0)
    np.testing.assert_allclose(sampler.probabilities(LOGITS), [0.1, 0.4, 0.2, 0.3], rtol=1e-6)
    counts = np.bincount([sampler(LOGITS) for _ in range(4000)], minlength=4)
    np.testing.assert_allclose(counts / 4000, [0.1, 0.4, 0.2, 0.3], atol=0.03)


def test_temperature_sharpens():
    p = Sampler(temperature=0.5).probabilities(LOGITS)
    np.testing.assert_allclose(p, np.array([0.01, 0.16, 0.04, 0.09]) / 0.30, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 2}, [0, 4, 0, 3]),
        ({"top_k": 9}, [1, 4, 2, 3]),
        ({"top_p": 0.3}, [0, 1, 0, 0]),
        ({"top_p": 0.65}, [0, 4, 0, 3]),
        ({"top_p": 0.75}, [0, 4, 2, 3]),
        ({"top_k": 2, "top_p": 0.5}, [0, 1, 0, 0]),
    ],
)
def test_top_k_and_top_p(options, kept):
    p = Sampler(temperature=1.0, **options).probabilities(LOGITS)
    np.testing.assert_allclose(p, np.array(kept) / sum(kept), rtol=1e-6)


def test_seed_repeats():
    flat = np.zeros(1000, np.float32)
    draws = [[Sampler(1.0, seed=seed)(flat)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_extreme_logits():
    p = Sampler(temperature=0.01).probabilities(np.array([1e4, -1e4, -np.inf, 9e3], np.float32))
    np.testing.assert_array_equal(p, [1, 0, 0, 0])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_not_a_number_is_refused(temperature):
    with pytest.raises(UserError, match="not numbers"):
        Sampler(temperature)(np.array([0, np.nan], np.float32))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"temperature": -0.1}, "temperature must be from 0"),
        ({"temperature": float("nan")}, "temperature must be from 0"),
        ({"temperature": float("inf")}, "temperature must be from 0"),
        ({"temperature": 11}, "temperature must be from 0"),
        ({"top_p": 0}, "top-p must be above 0"),
        ({"top_p": 1.1}, "top-p must be above 0"),
        ({"top_p": float("nan")}, "top-p must be above 0"),
        ({"top_k": -1}, "top-k must be 0"),
        ({"seed": -1}, "seed must be 0 or more"),
    ],
)
def test_ranges(options, match):
    with pytest.raises(UserError, match=match):
        Sampler(**options)


def test_log_softmax():
    np.testing.assert_allclose(np.exp(log_softmax(LOGITS + 500)), [0.1, 0.4, 0.2, 0.3], rtol=1e-4)
