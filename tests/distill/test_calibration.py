"""Probabilities made true, and the points from which findings are named."""

from __future__ import annotations

import numpy as np
import pytest

from distill.calibration import curve, fit
from edge_runtime.inference import Calibration


def drawn(slope: float, offset: float, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Truth and what a model says that is wrong by this line: its log odds are (true ones - offset) / slope."""
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 2, n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-true))).astype(int)
    return truth, 1 / (1 + np.exp(-(true - offset) / slope))


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.5, 1.0), (2.0, -1.5)])
def test_the_line_that_makes_them_true_is_found(slope: float, offset: float) -> None:
    found = fit(*drawn(slope, offset))
    assert (found.slope, found.offset) == (pytest.approx(slope, rel=0.06), pytest.approx(offset, abs=0.08))


def test_the_point_and_what_it_gives_are_counted() -> None:
    truth, probability = drawn(1.0, 0.0)
    found = fit(truth, probability)
    named = 1 / (1 + np.exp(-(found.slope * np.log(probability / (1 - probability)) + found.offset))) >= found.point
    assert found.sensitivity == pytest.approx(truth[named].sum() / truth.sum(), abs=1e-3)
    assert found.precision == pytest.approx(truth[named].mean(), abs=1e-3)
    assert found.positives == truth.sum()
    assert 0.3 < found.point < 0.5


@pytest.mark.parametrize("positives", [0, 3, 50])
def test_of_what_hardly_any_have_or_lack_nothing_is_learned(positives: int) -> None:
    truth = (np.arange(50) < positives).astype(int)
    assert fit(truth, np.linspace(0.1, 0.9, 50)) == Calibration(positives=positives)


def test_the_curve_goes_from_naming_it_always_to_naming_it_rarely() -> None:
    truth, probability = drawn(1.0, 0.0)
    points = curve(truth, probability)
    assert len(points) <= 50
    assert (points[0]["sensitivity"], points[0]["precision"]) == (1, pytest.approx(truth.mean(), abs=0.01))
    for key, way in (("point", 1), ("sensitivity", -1)):
        assert (way * np.diff([point[key] for point in points]) >= 0).all()
    some = points[25]
    named = probability >= some["point"]
    assert some["precision"] == pytest.approx(truth[named].mean())
    assert some["sensitivity"] == pytest.approx(truth[named].sum() / truth.sum())


def test_what_no_record_has_has_no_curve() -> None:
    assert curve(np.zeros(40, int), np.linspace(0, 1, 40)) == []
