"""The page straightened: what lies between four corners of a photo becomes an upright rectangle."""

from __future__ import annotations

import numpy as np
from PIL import Image

from demo_app.outline import WHOLE, Corners, is_convex
from edge_runtime.errors import UserError

# PULSE's own pages are 2,200 pixels long; more than that no model looks at.
_LONGEST = 2200
_LEAST = 64


def straighten(picture: Image.Image, corners: Corners) -> Image.Image:
    """The quadrilateral `corners` (see outline.WHOLE) of an RGB picture as an upright RGB page.

    Its sides are the means of the opposite sides in the picture, at most 2,200 pixels. Raises UserError when the
    corners cross or lie too close together.
    """
    if corners == WHOLE:
        return _at_most(picture)
    if not is_convex(corners):
        raise UserError("the corners cross each other; drag them to the four corners of the page")
    points = np.array(corners) * picture.size
    top, right, bottom, left = (float(np.linalg.norm(points[i] - points[(i + 1) % 4])) for i in range(4))
    width, height = (top + bottom) / 2, (left + right) / 2
    if min(width, height) < _LEAST:
        raise UserError("the corners are too close together; drag them to the four corners of the page")
    scale = min(1.0, _LONGEST / max(width, height))
    size = (round(width * scale), round(height * scale))
    target = np.array(WHOLE) * size
    source = _shrunk(picture, scale)
    # Pillow asks where each output pixel comes from: the map from the page to the photo.
    coefficients = homography(target, np.array(corners) * source.size)
    return source.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


def turned(picture: Image.Image, quarters: int) -> Image.Image:
    """The picture turned clockwise by so many quarter turns."""
    turns = (None, Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
    turn = turns[quarters % 4]
    return picture if turn is None else picture.transpose(turn)


def homography(source: np.ndarray, target: np.ndarray) -> tuple[float, ...]:
    """a..h with x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1), for four points [4, 2] each."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    return tuple(float(c) for c in np.linalg.solve(np.array(rows), target.reshape(-1)))


def _shrunk(picture: Image.Image, scale: float) -> Image.Image:
    """A perspective transform reads single pixels, so what gets smaller is shrunk before, with averaging."""
    if scale > 0.75:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _at_most(picture: Image.Image) -> Image.Image:
    scale = _LONGEST / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
