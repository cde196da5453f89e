"""A grid is found at the scale and the angle that the camera had, and the page comes out flat."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge_runtime.page.flatten import PX_PER_MM, find_grid, flatten
from edge_runtime.page.reading import read
from tests.edge_runtime.page.sheets import DESK, MM, seen, sheet, turned

SIZE = (2400, 1700)


@pytest.mark.parametrize("degrees", [0, 7, -15, 20])
@pytest.mark.parametrize("fine", [True, False], ids=["1 mm lines", "5 mm lines"])
def test_scale_and_angle_are_those_of_the_camera(degrees: float, fine: bool) -> None:
    grid = find_grid(turned(sheet(fine=fine), degrees, 0.7, SIZE))
    assert grid is not None
    assert grid.px_per_mm == pytest.approx(0.7 * MM, rel=0.01)
    assert grid.turned == pytest.approx(degrees, abs=0.5)


@pytest.mark.parametrize("share", [0.4, 0.6, 1.0])
def test_the_page_may_be_small_on_its_desk(share: float) -> None:
    grid = find_grid(turned(sheet(), 5, share, SIZE))
    assert grid is not None
    assert grid.px_per_mm == pytest.approx(share * MM, rel=0.01)


def test_a_page_seen_from_the_side_comes_out_with_its_own_shape() -> None:
    page = sheet()
    corners = [(420.0, 160.0), (2050.0, 260.0), (2330.0, 1560.0), (90.0, 1420.0)]
    picture = seen(page, corners, SIZE)
    grid = find_grid(picture)
    assert grid is not None
    flat = flatten(picture, grid)
    assert flat.page.width / PX_PER_MM == pytest.approx(280, abs=25)  # with two squares of the desk on each side
    assert flat.page.height / PX_PER_MM == pytest.approx(200, abs=25)
    np.testing.assert_allclose(flat.outline, corners, atol=130)  # three squares of the near side
    # Flat means that every line is straight: the grid that is found in the flat page is even and upright.
    again = find_grid(flat.page)
    assert again is not None
    assert again.px_per_mm == pytest.approx(PX_PER_MM, rel=0.01)
    assert abs(again.turned) < 0.3
    assert again.bent < 0.2 < grid.bent


def test_a_bent_page_is_flattened() -> None:
    page = sheet()
    step = 20
    across = np.arange(0, page.width + 1, step)
    lift = 60 * np.sin(across / page.width * np.pi)  # pixels by which the sheet's middle rises
    mesh = [
        (
            (int(x), 0, int(x) + step, page.height),
            (x, lift[i], x, page.height + lift[i], x + step, page.height + lift[i + 1], x + step, lift[i + 1]),
        )
        for i, x in enumerate(across[:-1])
    ]
    picture = page.transform(page.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=DESK)
    grid = find_grid(picture)
    assert grid is not None
    again = find_grid(flatten(picture, grid).page)
    assert again is not None
    assert again.bent < 0.3 * grid.bent


def test_what_lies_beyond_a_fold_is_flattened_and_kept() -> None:
    page = sheet()
    fold, far, drop = round(0.72 * page.width), round(0.96 * page.width), 90  # the right of the sheet leans away
    mesh = [
        ((0, 0, fold, page.height), (0, 0, 0, page.height, fold, page.height, fold, 0)),
        (
            (fold, 0, far, page.height),
            (fold, 0, fold, page.height, page.width, page.height + drop, page.width, drop),
        ),
    ]
    picture = page.transform(page.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=DESK)
    grid = find_grid(picture)
    assert grid is not None
    flat = flatten(picture, grid)
    assert flat.outline[1:3, 0].min() > 0.93 * page.width  # to the end of the paper
    again = find_grid(flat.page)
    assert again is not None
    assert again.bent < 0.3 * grid.bent


def test_no_part_of_the_paper_is_cut_off_where_it_is_crumpled() -> None:
    """Lines that waver are no grid on the flat page; the grid in the picture had been clear there."""
    page = sheet()
    lines = np.asarray(page.convert("L"))
    rough = np.asarray(page).copy()
    third = page.width // 3
    shift = (14 * np.sin(np.arange(page.height) / 23)).astype(int)
    for y in range(page.height):
        rough[y, :third] = np.roll(rough[y, :third], shift[y], axis=0)
    picture = turned(Image.fromarray(rough), 3, 0.8, SIZE)
    grid = find_grid(picture)
    assert grid is not None
    assert flatten(picture, grid).page.width / PX_PER_MM > 0.95 * lines.shape[1] / MM


def test_shade_is_taken_out_and_the_grid_faded() -> None:
    page = np.asarray(turned(sheet(), 4, 0.7, SIZE), np.float32)
    shade = np.linspace(1, 0.35, SIZE[0], dtype=np.float32)[None, :, None]
    picture = Image.fromarray((page * shade).astype(np.uint8))
    grid = find_grid(picture)
    assert grid is not None
    flat = flatten(picture, grid)
    inner = flat.ink[20:-20, 40:-40]
    bright = inner[: inner.shape[0] // 3]  # above the curve: paper and grid alone
    assert np.median(bright[:, :100]) == pytest.approx(np.median(bright[:, -100:]), abs=12)
    assert np.percentile(bright, 5) > 200
    assert (inner < 120).any(0).mean() > 0.9  # the curve is still there, from edge to edge


def test_a_picture_without_a_grid_has_none() -> None:
    rng = np.random.default_rng(3)
    noise = Image.fromarray(rng.integers(0, 255, (900, 1200, 3), np.uint8))
    text = Image.new("RGB", (1200, 900), "white")
    clouds = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8)).resize((800, 600))
    assert find_grid(noise) is None
    assert find_grid(clouds) is None
    assert find_grid(text) is None
    assert find_grid(Image.new("RGB", (40, 40), "grey")) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("step", [9, 14, 40])
def test_lines_that_cross_none_are_no_grid(step: int) -> None:
    stripes = np.full((700, 1000, 3), 250, np.uint8)
    stripes[::step] = 120
    stripes += np.random.default_rng(1).integers(0, 6, stripes.shape, np.uint8)  # as every camera has
    for turn in range(2):
        assert find_grid(Image.fromarray(np.rot90(stripes, turn).copy())) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("width", "height"), [(280, 20), (30, 280), (280, 45), (2, 280)])
def test_a_narrow_strip_is_read_or_goes_on_as_it_is(width: int, height: int) -> None:
    strip = sheet(width, height)
    reading = read(strip)
    if reading.grid is not None:
        assert reading.grid.px_per_mm == pytest.approx(MM, rel=0.03)
    if reading.flat is None:
        assert reading.picture is strip
