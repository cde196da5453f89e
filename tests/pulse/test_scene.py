"""A picture of a page on a desk follows from where paper and camera are, and says which millimetre each pixel shows."""

from __future__ import annotations

import numpy as np
import pytest

from pulse.ecg.photo.scene.relief import Relief, drawn_relief
from pulse.ecg.photo.scene.shoot import shoot
from pulse.ecg.photo.scene.view import View, drawn_view

PAPER = (272.0, 192.0)
FLAT = Relief(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0), np.array([1.0, 0.0]), 0.0, 100.0)


def above(size=(400, 300), distance=300.0, focal=1.0):
    """A camera straight above the middle of the sheet."""
    place = np.array([PAPER[0] / 2, PAPER[1] / 2, -distance])
    return View(np.eye(3), place, focal, size)


def test_a_camera_straight_above_sees_the_sheet_to_scale() -> None:
    places = above().places(FLAT, 4)
    assert places.shape == (75, 100, 2)
    np.testing.assert_allclose(places.mean((0, 1)), np.array(PAPER) / 2, atol=1e-9)
    # 300 mm away with a focal length of one width, the picture is 300 mm wide: 0.75 mm a pixel.
    np.testing.assert_allclose(np.diff(places[0, :, 0]), 3.0)


def test_what_is_higher_is_nearer_and_larger() -> None:
    ridge = Relief(
        np.array([[1.0, 0.0]]), np.array([136.0]), np.array([-0.2]), np.array([1.0]), np.array([1.0, 0]), 0.0, 1.0
    )
    step = np.diff(above().places(ridge, 4)[0, :, 0])
    assert step[45:55].mean() < 0.9 * step[:10].mean()  # mm a pixel; it falls away on both sides
    flat, raised = (above().places(relief, 4) for relief in (FLAT, _lifted(30.0)))
    assert np.ptp(raised[..., 0]) == pytest.approx(np.ptp(flat[..., 0]) * 270 / 300, rel=1e-6)


def _lifted(mm: float) -> Relief:
    return Relief(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(2), mm, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_slopes_are_those_of_the_heights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    relief, at = drawn_relief(rng, PAPER), rng.uniform(0, 190, (50, 2))
    for axis, unit in enumerate(np.eye(2)):
        by_difference = (relief.height(at + 1e-4 * unit) - relief.height(at - 1e-4 * unit)) / 2e-4
        np.testing.assert_allclose(relief.slope(at)[:, axis], by_difference, atol=1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_each_pixel_shows_the_place_that_it_says(seed: int) -> None:
    """The places on the raised paper, seen through the same camera, lie under the pixels that they were found from."""
    rng = np.random.default_rng(seed)
    relief, view = drawn_relief(rng, PAPER), drawn_view(rng, PAPER, (320, 240))
    places = view.places(relief, 4)
    away = np.linalg.norm(_back(view, relief, places) - _pixels(view, 4), axis=-1)
    on = ((places > 0) & (places < PAPER)).all(-1)
    assert away[on].max() < 0.5  # pixels


def _back(view: View, relief: Relief, places: np.ndarray) -> np.ndarray:
    """Where the camera sees points of the paper."""
    points = np.concatenate([places, -relief.height(places)[..., None]], -1) - view.place
    seen = points @ view.rotation.T
    width, height = view.size
    return seen[..., :2] / seen[..., 2:] * view.focal * width + np.array([width, height]) / 2


def _pixels(view: View, step: int) -> np.ndarray:
    width, height = view.size
    return np.stack(np.meshgrid(np.arange(width // step) + 0.5, np.arange(height // step) + 0.5), -1) * step


def test_the_same_seed_gives_the_same_picture(clean_page: np.ndarray) -> None:
    one, same, other = (shoot(clean_page, 4.0, seed, (640, 480)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image, same.image)
    assert one.image.shape != other.image.shape or (one.image != other.image).any()
    assert one.paper == (272.0, 192.0)


@pytest.fixture
def clean_page() -> np.ndarray:
    page = np.full((768, 1088, 3), 250, np.uint8)
    page[::20], page[:, ::20] = (230, 160, 160), (230, 160, 160)
    return page


@pytest.mark.parametrize("seed", range(6))
def test_paper_is_where_the_places_say(seed: int) -> None:
    shot = shoot(np.full((768, 1088, 3), (20, 220, 40), np.uint8), 4.0, seed, (640, 480))
    rows, columns = shot.places.shape[:2]
    height, width = shot.image.shape[:2]
    down, across = (np.arange(rows) * height // rows, np.arange(columns) * width // columns)
    green = shot.image[np.ix_(down, across)].astype(int) @ (-1, 2, -1)
    on = ((shot.places > 8) & (shot.places < np.array(shot.paper) - 8)).all(-1)
    off = ((shot.places < -8) | (shot.places > np.array(shot.paper) + 8)).any(-1)
    assert np.percentile(green[on], 10) > 60
    if off.any():
        assert np.percentile(green[off], 90) < 60
