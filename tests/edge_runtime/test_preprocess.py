"""Pixels on the canvas: where they land, what they are worth, and that they never change."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.preprocess import PreprocessSpec, canvas, draft_size, pixels

GREY = PreprocessSpec("fit", 48, 32, "grey", "bilinear", 255, (0.5,), (0.25,))
RGB = PreprocessSpec("fit", 48, 32, "rgb", "bicubic", 0, (0.1, 0.2, 0.3), (0.5, 0.4, 0.2))


def test_same_size_changes_only_the_scale():
    page = np.random.default_rng(0).integers(0, 256, (32, 48), np.uint8)
    got = pixels(page, GREY)
    assert (got.shape, got.dtype) == ((1, 1, 32, 48), np.float32)
    np.testing.assert_allclose(got[0, 0], (page / 255 - 0.5) / 0.25, atol=2e-7)  # float32 at each step


def test_channels_are_normalized_each_by_its_own():
    page = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    got = pixels(page, RGB)
    assert got.shape == (1, 3, 32, 48)
    want = (page / 255 - np.array(RGB.mean)) / np.array(RGB.std)
    np.testing.assert_allclose(got[0], want.transpose(2, 0, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((96, 64), (0, 0, 48, 32)),  # same shape
        ((96, 16), (0, 12, 48, 8)),  # wide: bars above and below
        ((32, 64), (16, 0, 16, 32)),  # tall: bars left and right
        ((24, 16), (0, 0, 48, 32)),  # small: enlarged
        ((4000, 33), (0, 15, 48, 1)),  # a thread keeps one row
    ],
)
def test_page_is_centred_and_padded(size, box):
    got = canvas(Image.new("RGB", size, (80, 80, 80)), GREY)
    left, top, width, height = box
    want = np.full((1, 32, 48, 1), 255, np.uint8)
    want[:, top : top + height, left : left + width] = 80
    np.testing.assert_array_equal(got, want)


def test_shrinking_averages_instead_of_skipping():
    # One-pixel black lines, 1 in 8: skipping would give stripes of pure black and white.
    page = np.full((320, 480), 255, np.uint8)
    page[:, ::8] = 0
    for resample in ("bilinear", "bicubic", "box"):
        got = canvas(page, dataclasses.replace(GREY, resample=resample)).astype(int)
        assert got.min() > 180, resample
        assert abs(got.mean() - 255 * 7 / 8) < 2, resample


def test_arrays_and_images_of_any_mode_agree():
    grey = np.random.default_rng(1).integers(0, 256, (100, 130), np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    for spec in (GREY, RGB):
        results = [pixels(i, spec) for i in (grey, colour, Image.fromarray(grey), Image.fromarray(colour))]
        for other in results[1:]:
            np.testing.assert_array_equal(results[0], other)
    # A view with strides is as good as a copy.
    np.testing.assert_array_equal(pixels(grey[::-1, ::2], GREY), pixels(grey[::-1, ::2].copy(), GREY))


def test_pixels_are_frozen():
    # The models are trained on exactly these bytes: a change here asks for new models.
    page = np.random.default_rng(5).integers(0, 256, (317, 451, 3), np.uint8)
    digests = [hashlib.sha256(canvas(page, spec).tobytes()).hexdigest()[:16] for spec in (GREY, RGB)]
    assert digests == ["ccd3875174f9c806", "9fdea0c775700922"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(UserError, match="must be uint8"):
        pixels(array, GREY)


def test_empty_images_are_refused():
    with pytest.raises(UserError, match="the image is empty"):
        pixels(Image.new("L", (0, 5)), GREY)


def test_spec_reads_back_and_unknown_modes_are_refused():
    assert PreprocessSpec.from_dict(dataclasses.asdict(RGB)) == RGB
    with pytest.raises(UserError, match="mode 'pad' is not one this version knows"):
        PreprocessSpec.from_dict({**dataclasses.asdict(RGB), "mode": "pad"})


def test_draft_never_costs_detail():
    width, height = draft_size(GREY)
    assert width >= 2 * GREY.width
    assert height >= 2 * GREY.height
