"""Photo effects: the same seed is the same photograph, and the trace survives all of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pulse.ecg.photo.photograph import EFFECTS, photograph


def drawn_page(height: int = 384, width: int = 544) -> np.ndarray:
    """Pink paper with a grid and one bold trace across the middle."""
    page = np.full((height, width, 3), (255, 235, 235), np.uint8)
    page[:: max(4, height // 40)] = (255, 190, 190)
    page[:, :: max(4, width // 55)] = (255, 190, 190)
    x = np.linspace(0.05, 0.95, 400)
    y = 0.5 - 0.25 * np.exp(-(((x * 12) % 1 - 0.5) ** 2) * 200)
    points = np.rint(np.stack([x * width, y * height], axis=1)).astype(np.int32)
    cv2.polylines(page, [points], False, (10, 10, 10), max(1, width // 300), cv2.LINE_AA)
    return page


def test_same_seed_gives_the_same_bytes_and_another_seed_another_photograph() -> None:
    page = drawn_page()
    shots = [photograph(page, seed) for seed in range(15)]
    for seed, shot in enumerate(shots):
        np.testing.assert_array_equal(shot, photograph(page, seed))
    # the few alike are those that drew no effect at all
    assert len({shot.tobytes() for shot in shots}) >= 14


def test_a_generator_is_advanced() -> None:
    page, rng = drawn_page(), np.random.default_rng(5)
    first, second = photograph(page, rng, ["noise"]), photograph(page, rng, ["noise"])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, photograph(page, np.random.default_rng(5), ["noise"]))


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("size", [(384, 544), (64, 64), (65, 301), (701, 97)])
def test_each_effect_changes_the_page_keeps_its_size_and_leaves_the_input_alone(
    name: str, size: tuple[int, int]
) -> None:
    page = drawn_page(*size)
    before = page.copy()
    for seed in range(4):
        shot = photograph(page, seed, [name])
        assert (shot.shape, shot.dtype) == (page.shape, np.uint8)
        assert not np.array_equal(shot, page)
        np.testing.assert_array_equal(page, before)


def test_a_scan_at_200_dpi_is_taken_as_well() -> None:
    page = drawn_page(1700, 2200)
    shot = photograph(page, 4, ["perspective", "marks"])
    assert shot.shape == page.shape
    noise = photograph(np.full_like(page, 128), 4, ["noise"])[:300].astype(float) - 128
    assert abs(noise.mean()) < 0.5
    assert 1 < noise.std() < 12
    # the stored grains are laid out again and again, yet no row repeats the one above
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.02


def test_read_only_and_strided_pages_are_taken() -> None:
    page = drawn_page(128, 160)
    mirrored = page[:, ::-1]
    mirrored.flags.writeable = False
    np.testing.assert_array_equal(photograph(mirrored, 3), photograph(np.ascontiguousarray(mirrored), 3))


@pytest.mark.parametrize("name", EFFECTS)
def test_strength_scales_the_change(name: str) -> None:
    page = drawn_page().astype(int)
    means = [
        np.mean([np.abs(photograph(drawn_page(), seed, [name], strength) - page).mean() for seed in range(6)])
        for strength in (0.1, 1.0)
    ]
    assert means[0] < means[1]


@pytest.mark.parametrize("effects", [None, list(EFFECTS)])
def test_strength_zero_is_an_exact_copy(effects: list[str] | None) -> None:
    page = drawn_page()
    shot = photograph(page, 1, effects, strength=0.0)
    np.testing.assert_array_equal(shot, page)
    shot[:] = 0
    assert page.max() == 255


@pytest.mark.parametrize("effects", [[], ["noise"], None])
def test_the_result_never_shares_memory_with_the_page(effects: list[str] | None) -> None:
    page = drawn_page()
    assert not any(np.shares_memory(page, photograph(page, seed, effects)) for seed in range(20))


def test_effects_run_in_the_order_of_physics() -> None:
    page = drawn_page()
    np.testing.assert_array_equal(photograph(page, 2, ["jpeg", "rotation"]), photograph(page, 2, ["rotation", "jpeg"]))


@pytest.mark.parametrize("name", [name for name in EFFECTS if name not in ("rotation", "perspective", "lens")])
def test_the_trace_stays_dark_on_light_paper(name: str) -> None:
    """Where nothing moves, ink stays darker than the paper just above it; creases move print by 2 pixels at most."""
    page = drawn_page()
    ink = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY) < 90
    near = cv2.dilate(ink.astype(np.uint8), np.ones((15, 15))) > 0
    for seed in range(8):
        grey = cv2.cvtColor(photograph(page, seed, [name]), cv2.COLOR_RGB2GRAY).astype(int)
        darkest = cv2.erode(grey.astype(np.uint8), np.ones((7, 7)))[ink]
        paper = np.median(grey[near & ~ink])
        assert np.mean(darkest < paper - 40) > 0.98, f"{name}, seed {seed}"


def test_rotation_is_small_and_keeps_the_middle_of_the_page() -> None:
    page = np.full((384, 544, 3), 255, np.uint8)
    page[190:194, 60:484] = 0
    for seed in range(10):
        grey = cv2.cvtColor(photograph(page, seed, ["rotation"]), cv2.COLOR_RGB2GRAY)
        left, right = grey[96:288, 122], grey[96:288, 422]
        degrees = np.degrees(np.arctan2(float(right.argmin()) - float(left.argmin()), 300))
        assert 1 < abs(degrees) < 8.5


@pytest.mark.parametrize(
    ("page", "kwargs", "message"),
    [
        (np.zeros((100, 100), np.uint8), {}, r"uint8 \[H, W, 3\], got uint8 \[100, 100\]"),
        (np.zeros((100, 100, 3), np.float32), {}, "got float32"),
        (np.zeros((100, 100, 4), np.uint8), {}, r"\[100, 100, 4\]"),
        ([[1, 2]], {}, "got list"),
        (np.zeros((63, 100, 3), np.uint8), {}, "100 x 63 is too small; give at least 64"),
        (np.zeros((100, 100, 3), np.uint8), {"strength": 1.2}, "strength is 1.2"),
        (np.zeros((100, 100, 3), np.uint8), {"strength": float("nan")}, "strength is nan"),
        (np.zeros((100, 100, 3), np.uint8), {"effects": ["rain"]}, "unknown effect 'rain'; choose from photocopy, "),
        (np.zeros((100, 100, 3), np.uint8), {"effects": "noise"}, r"give a list such as \['noise'\]"),
    ],
)
def test_wrong_use_is_named(page: np.ndarray, kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photograph(page, 0, **kwargs)
