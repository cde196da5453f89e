"""Outline, straightening and quality of pages."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from demo_app.crop import homography, straighten, turned
from demo_app.outline import WHOLE, is_convex, propose
from edge_runtime.errors import UserError
from edge_runtime.page.quality import judge
from pulse.ecg.photo import geometry
from pulse.ecg.photo.photograph import photograph


def laid(page, corners, desk=60, size=(1200, 900)):
    """The page on a desk, its corners at `corners` (fractions), and which pixels are the page's."""
    target = np.array(corners) * size
    source = np.array(WHOLE) * page.size
    coefficients = homography(target, source)
    warped = page.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
    mask = Image.new("L", page.size, 255).transform(size, Image.Transform.PERSPECTIVE, coefficients)
    return Image.composite(warped, Image.new("RGB", size, (desk, desk, desk + 8)), mask)


CORNERS = [
    ((0.10, 0.12), (0.88, 0.08), (0.94, 0.90), (0.06, 0.93)),
    ((0.20, 0.10), (0.90, 0.25), (0.78, 0.88), (0.08, 0.72)),  # turned by a quarter of a right angle
    ((0.30, 0.20), (0.72, 0.22), (0.70, 0.80), (0.28, 0.78)),
]


def outside(found, corners):
    """How far each side of what was found runs outside the true corners, as fractions; below 0 it cuts the page."""
    found, corners = np.array(found), np.array(corners)
    along = np.roll(found, -1, 0) - found
    normal = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(along, axis=1)[:, None]
    return np.concatenate([((found[i] - corners[[i, (i + 1) % 4]]) @ normal[i]) for i in range(4)])


@pytest.mark.parametrize("corners", CORNERS)
@pytest.mark.parametrize("desk", [20, 110, 170])
def test_outline_holds_the_page_and_little_more(clean, corners, desk):
    found = propose(laid(clean, corners, desk))
    if corners == CORNERS[0] and found == WHOLE:
        return  # it fills the picture nearly, and is straight nearly
    assert found != WHOLE
    assert -0.01 < outside(found, corners).min() < outside(found, corners).max() < 0.13


def test_outline_of_photographed_pages_cuts_no_lead(clean, monkeypatch):
    """On desks of every kind, some as bright as paper; the outer tenth of a drawn page is margin."""
    placed, real, found = [], geometry._laid, []
    monkeypatch.setattr(
        geometry, "_laid", lambda page, corners, rng: placed.append(corners) or real(page, corners, rng)
    )
    for seed in range(20):
        shot = Image.fromarray(geometry.perspective(np.asarray(clean), np.random.default_rng(seed), 1.0))
        found.append(propose(shot))
        assert is_convex(found[-1])
        assert found[-1] == WHOLE or outside(found[-1], placed[-1] / clean.size).min() > -0.03
    assert sum(corners != WHOLE for corners in found) >= 5


def test_corner_that_the_picture_cuts_off_leaves_it_whole(clean):
    assert propose(laid(clean, ((0.1, 0.12), (1.2, 0.0), (1.1, 0.9), (0.06, 0.93)))) == WHOLE


def test_page_that_fills_the_picture_is_left_whole(clean):
    assert propose(clean) == WHOLE


@pytest.mark.parametrize("picture", ["black", "white", "noise"])
def test_picture_without_a_page_is_left_whole(picture):
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    image = Image.fromarray(noise) if picture == "noise" else Image.new("RGB", (400, 300), picture)
    assert propose(image) == WHOLE


@pytest.mark.parametrize("corners", CORNERS)
def test_straightening_undoes_the_camera(clean, corners):
    page = straighten(laid(clean, corners), corners)
    again = np.asarray(page.convert("L").resize((241, 170), Image.Resampling.BOX), float)
    truth = np.asarray(clean.convert("L").resize((241, 170), Image.Resampling.BOX), float)
    assert np.corrcoef(again.ravel(), truth.ravel())[0, 1] > 0.9


def test_whole_picture_is_not_touched(clean):
    assert straighten(clean, WHOLE) is clean


def test_large_photo_is_cut_to_what_a_model_can_see():
    assert max(straighten(Image.new("RGB", (6000, 4000)), WHOLE).size) == 2200
    corners = ((0.05, 0.05), (0.95, 0.05), (0.95, 0.95), (0.05, 0.95))
    assert max(straighten(Image.new("RGB", (6000, 4000)), corners).size) == 2200


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        (((0, 0), (1, 1), (1, 0), (0, 1)), "cross"),
        (((0, 0), (0.02, 0), (0.02, 0.02), (0, 0.02)), "too close"),
    ],
)
def test_corners_that_make_no_page_are_refused(clean, corners, message):
    with pytest.raises(UserError, match=message):
        straighten(clean, corners)


def test_turning(clean):
    assert turned(clean, 4) is clean
    assert turned(clean, 1).size == clean.size[::-1]
    right = np.asarray(turned(clean, 1))
    assert np.array_equal(right, np.rot90(np.asarray(clean), -1))


def test_good_pages_pass_and_poor_ones_are_named(clean, photo):
    page = straighten(photo, propose(photo))
    assert judge(clean).problems == []
    assert judge(page).problems == []
    assert judge(clean.filter(ImageFilter.GaussianBlur(3.5))).problems == ["blur"]
    assert judge(page.filter(ImageFilter.GaussianBlur(2))).problems == ["blur"]
    assert judge(page.point(lambda v: v * 0.2)).problems == ["dark"]
    assert "small" in judge(clean.resize((300, 212))).problems


def test_glare_is_seen_and_white_paper_is_not_glare(photo):
    page = straighten(photo, propose(photo)).point(lambda v: int(v * 0.9))
    assert judge(page).problems == []
    y, x = np.mgrid[: page.height, : page.width]
    spot = np.exp(-((x - 500) ** 2 + (y - 200) ** 2) / (2 * 90**2))[..., None]
    shining = np.clip(np.asarray(page) * (1 - spot) + 400 * spot, 0, 255).astype(np.uint8)
    assert judge(Image.fromarray(shining)).problems == ["glare"]


def test_light_photo_effects_pass(clean):
    shots = [photograph(np.asarray(clean), seed, strength=0.3) for seed in range(8)]
    assert sum(bool(judge(Image.fromarray(shot)).problems) for shot in shots) <= 1
