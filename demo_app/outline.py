"""Where the sheet lies in a photo: a proposal for the four corners that the user then drags into place."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edge_runtime.page.digitizer.digitize import of_photo
from edge_runtime.page.flatten import flatten
from edge_runtime.page.reading import read

Corners = tuple[tuple[float, float], ...]

WHOLE: Corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
"""Top left, top right, bottom right, bottom left as fractions (x, y) of width and height, y downwards."""

_MARGIN_MM = 15  # the reader's outline keeps a margin of two or three squares beyond the grid


def propose(picture: Image.Image) -> Corners:
    """Corners of the page in an RGB picture, where the page reader finds its grid; WHOLE where that finds none, where
    the page fills the picture, or where one of its corners lies outside: a straight cut could take leads away."""
    reading = read(picture)
    if reading.flat is None or reading.grid is None:
        return WHOLE
    corners, margin = reading.flat.outline, _MARGIN_MM * reading.grid.px_per_mm
    if corners.min() < -margin or (corners - picture.size).max() > margin:
        return WHOLE
    return tuple((float(x), float(y)) for x, y in np.clip(corners / picture.size, 0, 1))


def quarters_up(picture: Image.Image) -> int:
    """Quarter turns to the right that put the page in an RGB picture upright, by its rows and its calibration marks; 0
    where it is upright, or where its leads cannot be told."""
    reading = read(picture)
    if reading.grid is None:
        return 0
    signals = of_photo(picture, reading.flat or flatten(picture, reading.grid))
    return 0 if signals is None else -signals.turns % 4


def is_convex(corners: Corners) -> bool:
    """Whether the corners, in order, turn the same way all round: what a flat sheet looks like from any side."""
    p = np.array(corners)
    step = np.roll(p, -1, 0) - p
    after = np.roll(step, -1, 0)
    return bool((step[:, 0] * after[:, 1] - step[:, 1] * after[:, 0] > 1e-4).all())
