"""Where the sheet lies in the picture: turned on the scanner, seen from the side on a desk, bent by the lens.

Each effect takes and returns RGB uint8 of the same size [H, W, 3], resamples it once and never touches its input.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from pulse.ecg.photo.fields import enlarged, grid, noise_field, resampled

MAX_TURN = 8.0  # degrees at strength 1
DESKS = ((205, 205, 200), (150, 150, 155), (60, 60, 65), (225, 215, 195), (95, 120, 150), (70, 95, 90), (240, 240, 240))
WOODS = ((150, 105, 65), (185, 145, 100), (110, 75, 50), (205, 175, 135))


def rotation(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Turns the page up to 8 degrees either way and shrinks it so that at most its bare corners are lost."""
    height, width = page.shape[:2]
    degrees = rng.uniform(0.2, 1) * MAX_TURN * strength * rng.choice((-1, 1))
    c, s = np.cos(np.radians(degrees)), abs(np.sin(np.radians(degrees)))
    whole = min(width / (width * c + height * s), height / (width * s + height * c))
    scale = whole + (1 - whole) * rng.uniform(0, 0.6)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
    corners = cv2.transform(_corners(height, width)[None], turn)[0]
    return _laid(page, corners, rng)


def perspective(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """The page as a quadrilateral on a desk: each corner moves inwards on its own, and the whole turns slightly."""
    height, width = page.shape[:2]
    corners = _corners(height, width)
    inward = np.sign(np.array([width, height]) / 2 - corners)
    pull = rng.uniform(0.0, 0.11, (4, 2)) * strength
    side = rng.integers(4)  # the far side of the sheet is the shorter one
    far = [side, (side + 1) % 4]
    pull[far, side % 2] += rng.uniform(0, 0.05) * strength
    moved = corners + inward * pull * (width, height)
    return _laid(page, moved, rng)


def lens(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Barrel or pincushion distortion of a wide phone lens: the point at radius r is read from r + k (r^3 - r)."""
    height, width = page.shape[:2]
    k = rng.uniform(0.3, 1) * rng.choice((-0.05, 0.05)) * strength
    return resampled(page, cv2.scaleAdd(_bulge(height, width), k, grid(height, width)))


@lru_cache(maxsize=4)
def _bulge(height: int, width: int) -> np.ndarray:
    """offset (r^2 - 1) of each pixel, float32 [H, W, 2]: nothing at the centre and at the corners, where r is 1."""
    offset = grid(height, width) - np.array([width - 1, height - 1], np.float32) / 2
    square = (offset**2).sum(axis=2, keepdims=True) / (offset[0, 0] ** 2).sum()
    return offset * (square - 1)


def desk(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    """What lies under the sheet, float32 [rows, cols, 3]: plain, grained wood, or speckled."""
    kind = rng.random()
    light = 1 + rng.uniform(0.05, 0.2) * noise_field(rng, (rows, cols), 2)
    if kind < 0.4:
        colour = DESKS[rng.integers(len(DESKS))]
    elif kind < 0.75:
        colour = WOODS[rng.integers(len(WOODS))]
        grain = rng.standard_normal((rows // 2 + 1, 4), dtype=np.float32)  # short across, long along the plank
        light += 0.08 * cv2.resize(grain, (cols, rows), interpolation=cv2.INTER_LINEAR)
        light += 0.05 * noise_field(rng, (rows, cols), 12)
    else:
        colour = DESKS[rng.integers(len(DESKS))]
        speckle = rng.integers(0, 256, (rows, cols), dtype=np.uint8).astype(np.float32) / 255 - 0.5
        light += rng.uniform(0.1, 0.35) * speckle
    return light[..., None] * (np.array(colour, np.float32) * np.float32(rng.uniform(0.8, 1.05)))


def _corners(height: int, width: int) -> np.ndarray:
    """Top left, top right, bottom right, bottom left as (x, y) float32 [4, 2]."""
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)


def _laid(page: np.ndarray, corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The page warped to `corners` over a desk, with the soft shadow that a sheet throws."""
    height, width = page.shape[:2]
    corners = corners.astype(np.float32)
    # little of the desk is seen, and out of focus: a third of the resolution, for a long side of at most 400
    part = max(3.0, max(height, width) / 400)
    shade = np.zeros((round(height / part), round(width / part)), np.float32)
    drop = corners / part + rng.uniform(-0.004, 0.012, 2) * max(shade.shape)
    cv2.fillConvexPoly(shade, np.rint(drop).astype(np.int32), rng.uniform(0.2, 0.5))
    shade = cv2.GaussianBlur(shade, (0, 0), 0.012 * max(shade.shape))
    under = enlarged(desk(rng, *shade.shape) * (1 - shade[..., None]), page, 1)
    warp = cv2.getPerspectiveTransform(_corners(height, width), corners)
    return cv2.warpPerspective(
        page, warp, (width, height), dst=under, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
