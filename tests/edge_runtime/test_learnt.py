from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.fields import Fields
from edge_runtime.findings import sigmoid
from edge_runtime.learnt import Background, Learnt, fit, page_features, told

SIZE = 12
# Correlated features; pages with the finding lie four standard deviations apart.
MIX = 0.3 * np.random.default_rng(1).normal(size=(SIZE, SIZE)) + np.eye(SIZE)
SHIFT = np.linalg.solve(MIX.T, np.eye(SIZE)[0])
SHIFT *= 4 / np.sqrt(SHIFT @ np.linalg.solve(MIX.T @ MIX, SHIFT))


def drawn(count: int, seed: int, present: bool = False) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, SIZE)) @ MIX + 5 + present * SHIFT


@pytest.fixture(scope="module")
def background() -> Background:
    return Background.of(drawn(2000, 0), "m")


def log_odds(head: Learnt, pages: np.ndarray) -> np.ndarray:
    return np.array([head.log_odds(page) for page in pages])


def test_a_few_examples_separate_unseen_pages(background):
    head = fit(background, drawn(10, 2, True), np.empty((0, SIZE))).head
    there, absent = log_odds(head, drawn(300, 3, True)), log_odds(head, drawn(300, 4))
    assert (there[:, None] > absent).mean() > 0.95
    # Its even odds lie between the two kinds of pages.
    assert (there > 0).mean() > 0.8
    assert (absent < 0).mean() > 0.8
    assert head.positives == 10
    assert head.negatives == 0


def test_weights_are_those_of_the_shrunken_discriminant(background):
    there = drawn(5, 2, True)
    head = fit(background, there, np.empty((0, SIZE))).head
    scale = background.covariance.diagonal() ** 0.5
    shrunken = 0.9 * background.covariance / np.outer(scale, scale) + 0.1 * np.eye(SIZE)
    wanted = np.linalg.solve(shrunken, (there.mean(0) - background.mean) / scale) / scale
    found = np.array(head.weights)
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) == pytest.approx(1, abs=1e-6)


def test_leave_one_out_is_what_a_head_without_the_page_says(background):
    there, absent = drawn(6, 2, True), drawn(4, 5)
    fitted = fit(background, there, absent)
    without = fit(background, there[1:], absent).head
    assert fitted.positives[0] == pytest.approx(without.log_odds(there[0]), abs=1e-3)
    without = fit(background, there, absent[:-1]).head
    assert fitted.negatives[-1] == pytest.approx(without.log_odds(absent[-1]), abs=1e-3)


def test_pages_without_it_from_another_camera_move_the_point(background):
    moved = 2 * background.covariance.diagonal() ** 0.5  # all that this camera shows lies apart
    there, absent = drawn(10, 2, True) + moved, drawn(40, 5) + moved
    unseen = drawn(200, 6) + moved
    alone = log_odds(fit(background, there, absent[:0]).head, unseen)
    beside = log_odds(fit(background, there, absent).head, unseen)
    assert (beside < 0).mean() > (alone < 0).mean() + 0.2


def test_one_example_has_no_leave_one_out_and_ten_have_a_sensitivity(background):
    one = fit(background, drawn(1, 2, True), drawn(2, 5))
    assert np.isnan(one.positives).all()
    assert len(one.negatives) == 2
    assert one.sensitivity is None
    assert fit(background, drawn(9, 2, True), drawn(0, 5)).sensitivity is None
    assert fit(background, drawn(10, 2, True), drawn(0, 5)).sensitivity > 0.5


def test_examples_that_are_the_background_itself_still_give_a_head(background):
    head = fit(background, background.mean[None], np.empty((0, SIZE))).head
    assert np.isfinite(head.weights).all()
    assert sigmoid(head.log_odds(background.mean)) == pytest.approx(0.5)


def test_background_survives_its_file(background, tmp_path: Path):
    background.save(tmp_path / "b.npz")
    again = Background.load(tmp_path / "b.npz")
    assert (again.model, again.pages) == ("m", 2000)
    np.testing.assert_allclose(again.covariance, background.covariance, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nothing"])
def test_what_is_no_background_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "b.npz").write_bytes(content)
    with pytest.raises(UserError, match="is no background"):
        Background.load(tmp_path / "b.npz")
    with pytest.raises(UserError, match="two pages"):
        Background.of(np.zeros((1, 3)), "m")


@pytest.mark.parametrize("change", [{"weights": [1.0]}, {"weights": [1.0, "2"]}, {"positives": 0}, {"offset": None}])
def test_a_head_that_cannot_be_is_refused(change):
    good = dataclasses.asdict(Learnt((1.0, 2.0), 0.5, 3, 0, ("a" * 64,)))
    good["examples"], good["weights"] = list(good["examples"]), list(good["weights"])
    assert Learnt.from_fields(Fields(good, "m"), 2).log_odds(np.ones(2)) == 3.5
    with pytest.raises(UserError, match="m: "):
        Learnt.from_fields(Fields({**good, **change}, "m"), 2)


def test_features_and_names():
    np.testing.assert_array_equal(page_features(np.array([[1, 2], [3, 6]], np.float32)), [2, 4])
    assert told("x", 0) == "x"
    assert told("x", 1) == "x (learnt from 1 example)"
    assert told("x", 10) == "x (learnt from 10 examples)"
