"""The arrays that several photo effects begin from: smooth noise, a gain over the page, the pixel grid.

Gains are bytes rather than floats: OpenCV multiplies bytes five times faster, and training draws a page per sample.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

GAIN_STEPS = 200  # gains are bytes of 1/200, up to 1.275: one byte is finer than a step of the picture


def enlarged(field: np.ndarray, page: np.ndarray, unit: float) -> np.ndarray:
    """A small float field [h, w] or [h, w, 3] as bytes of `field * unit` at the size of `page`."""
    small = np.rint(np.clip(field * unit, 0, 255)).astype(np.uint8)
    return cv2.resize(small, (page.shape[1], page.shape[0]), interpolation=cv2.INTER_LINEAR)


def lit(page: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """page * steps / GAIN_STEPS; steps is uint8 [H, W] or [H, W, 3]."""
    if steps.ndim == 2:
        steps = cv2.cvtColor(steps, cv2.COLOR_GRAY2RGB)
    return cv2.multiply(page, steps, scale=1 / GAIN_STEPS)


def noise_field(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> np.ndarray:
    """Smooth noise float32 [H, W], mean 0 and deviation about 0.6, with `cells` bumps along the height."""
    small = rng.standard_normal((cells, max(2, cells * shape[1] // shape[0])), dtype=np.float32)
    return cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def resampled(page: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The page read at the places (x, y) in `at`, float32 [H, W, 2]; beyond the border its edge goes on."""
    x, y = cv2.split(at)
    return cv2.remap(page, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@lru_cache(maxsize=4)
def grid(height: int, width: int) -> np.ndarray:
    """Each pixel's own (x, y): float32 [H, W, 2], kept because every remap begins from it."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    both = np.dstack([x, y])
    both.flags.writeable = False
    return both
