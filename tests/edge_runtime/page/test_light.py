"""Values of squares laid over pixels, and paper made white by them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge_runtime.page.light import even, stretched


@pytest.mark.parametrize(("count", "size"), [(5, 63), (1, 8), (6, 6)])
def test_values_are_stretched_as_pillow_does_it(count, size):
    values = np.random.default_rng(0).uniform(0, 255, (count, 3)).astype(np.float32)
    whole = np.asarray(Image.fromarray(values).resize((3, size), Image.Resampling.BILINEAR))
    assert np.allclose(stretched(values, size), whole, atol=1e-3)
    assert np.allclose(stretched(values, size, slice(2, 5)), whole[2:5], atol=1e-3)


def test_each_channel_is_made_white_by_its_own_light():
    across, down = np.meshgrid(np.linspace(0, 1, 400), np.linspace(0, 1, 300))
    light = np.stack([120 + 100 * across, 220 - 100 * down, np.full_like(down, 90)], -1)
    page = light.astype(np.uint8)
    page[100:104, 50:350] = light[100:104, 50:350] / 4
    evened = np.asarray(even(page, 20)).astype(int)
    bare = np.ones((300, 400), bool)
    bare[100:104, 50:350] = False
    assert np.abs(evened[bare] - 250).max() <= 12
    assert np.abs(evened[101:103, 60:340] - 250 / 4).max() <= 8
