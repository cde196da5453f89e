"""Where the sheet lies in a photo: a proposal for the four corners that the user then drags into place.

A page is the large bright region of the picture. Otsu's threshold (1979, doi:10.1109/TSMC.1979.4310076) separates it
from the desk; each of its sides is a line fitted to the region's border, and the corners are where the lines meet.
Everything is numpy on a picture of 240 pixels: a phone does it between two frames of its camera.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

Corners = tuple[tuple[float, float], ...]

WHOLE: Corners = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
"""Top left, top right, bottom right, bottom left as fractions (x, y) of width and height, y downwards."""

_SIDE = 240
# Grid lines and traces are thinner than this share of the picture: a closing of that size makes the sheet one region.
_GRID = 7
_LEAST_AREA, _LEAST_FILL, _LEAST_STEP = 0.15, 0.85, 24.0


def propose(picture: Image.Image) -> Corners:
    """Corners of the page in an RGB picture, or WHOLE where no sheet stands out against its surroundings."""
    grey, scale = _small(picture)
    level = _otsu(grey)
    bright = grey > level
    if bright.all() or not bright.any() or grey[bright].mean() - grey[~bright].mean() < _LEAST_STEP:
        return WHOLE
    region = _largest(bright)
    if region.mean() < _LEAST_AREA:
        return WHOLE
    corners = _quadrilateral(region)
    if corners is None:
        return WHOLE
    width, height = picture.size
    found = np.clip(corners / scale / (width, height), 0, 1)
    # A shape that its own outline does not fill is no sheet of paper: a hand, a lamp, a monitor's frame.
    if region.sum() < _LEAST_FILL * _area(np.clip(corners, 0, np.array(region.shape[::-1]))):
        return WHOLE
    return tuple((float(x), float(y)) for x, y in found)


def is_convex(corners: Corners) -> bool:
    """Whether the corners, in order, turn the same way all round: what a flat sheet looks like from any side."""
    p = np.array(corners)
    step = np.roll(p, -1, 0) - p
    after = np.roll(step, -1, 0)
    return bool((step[:, 0] * after[:, 1] - step[:, 1] * after[:, 0] > 1e-4).all())


def _small(picture: Image.Image) -> tuple[np.ndarray, float]:
    """Grey levels [h, w] with the longer side 240 pixels, traces and grid closed over; and the scale."""
    scale = min(1.0, _SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.convert("L").resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    closed = small.filter(ImageFilter.MaxFilter(_GRID)).filter(ImageFilter.MinFilter(_GRID))
    return np.asarray(closed, np.float32), scale


def _otsu(grey: np.ndarray) -> float:
    """The level that splits the histogram into the two classes farthest apart."""
    counts = np.bincount(grey.astype(np.uint8).ravel(), minlength=256).astype(float)
    below, levels = np.cumsum(counts), np.arange(256)
    above, total = counts.sum() - below, np.cumsum(counts * levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(np.argmax(np.nan_to_num(between)))


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected region of a mask [h, w], its holes filled."""
    labels = _label(mask)
    counts = np.bincount(labels[mask])
    region = labels == np.argmax(counts)
    outside = _label(~region)
    border = np.unique(np.concatenate([outside[0], outside[-1], outside[:, 0], outside[:, -1]]))
    return region | ~np.isin(outside, border)


def _label(mask: np.ndarray) -> np.ndarray:
    """A number for each 4-connected region of `mask`, 0 outside: neighbours take the larger number until none does.

    Each pass carries a number along a whole run of pixels, so a few passes are enough for anything but a maze.
    """
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        before = labels
        for axis in (0, 1):
            labels = _carry(labels, mask, axis)
        if np.array_equal(labels, before):
            return labels


def _carry(labels: np.ndarray, mask: np.ndarray, axis: int) -> np.ndarray:
    """The largest label of each unbroken run along `axis`, given to all of the run."""
    flat, inside = np.moveaxis(labels, axis, 1), np.moveaxis(mask, axis, 1)
    edge = np.ones_like(inside)
    edge[:, 1:] = inside[:, 1:] != inside[:, :-1]
    starts = np.flatnonzero(edge.ravel())
    largest = np.maximum.reduceat(flat.ravel(), starts)
    lengths = np.diff(np.append(starts, flat.size))
    return np.moveaxis(np.repeat(largest, lengths).reshape(flat.shape), 1, axis)


def _quadrilateral(region: np.ndarray) -> np.ndarray | None:
    """Corners [4, 2] in pixels of the region: extreme points first, then lines fitted to each side between them."""
    y, x = np.nonzero(region)
    extremes = [np.argmin(x + y), np.argmax(x - y), np.argmax(x + y), np.argmin(x - y)]
    rough = np.array([(x[i] + 0.5, y[i] + 0.5) for i in extremes])
    edge = _border(region)
    sides = [_fit(edge, rough[i], rough[(i + 1) % 4]) for i in range(4)]
    met = [_meet(sides[i - 1], sides[i]) for i in range(4)]
    if any(point is None for point in met):
        return None
    corners = np.array(met)
    # Lines of a page cut off by the picture's edge may meet far outside: then the extreme points are the better guess.
    far = np.linalg.norm(corners - rough, axis=1) > 0.12 * max(region.shape)
    corners[far] = rough[far]
    return corners


def _border(region: np.ndarray) -> np.ndarray:
    """Points (x, y) [n, 2] of the region that touch something else, the picture's frame included."""
    inner = np.pad(region, 1)
    inner = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    y, x = np.nonzero(region & ~inner)
    return np.stack([x + 0.5, y + 0.5], 1)


def _fit(edge: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """The line n.p = c through the border points between a and b: least squares, then again without outliers."""
    along = b - a
    length = float(np.linalg.norm(along)) or 1.0
    along = along / length
    normal = np.array([along[1], -along[0]])
    offset, place = (edge - a) @ normal, (edge - a) @ along
    near = edge[(np.abs(offset) < 0.06 * length + 1) & (place > 0.08 * length) & (place < 0.92 * length)]
    line = (normal, float(normal @ a))
    for _ in range(3):
        if len(near) < 8:
            break
        centre = np.median(near, 0)
        line = _total_least_squares(near, line[0])
        miss = np.abs(near @ line[0] - line[1])
        kept = near[miss <= max(1.0, 2 * float(np.median(miss)))]
        if len(kept) == len(near) or not np.isfinite(centre).all():
            break
        near = kept
    return line


def _total_least_squares(points: np.ndarray, towards: np.ndarray) -> tuple[np.ndarray, float]:
    centre = points.mean(0)
    normal = np.linalg.svd(points - centre, full_matrices=False)[2][1]
    normal = normal if normal @ towards > 0 else -normal
    # Border points are pixel centres inside the page; the edge itself is half a pixel farther out.
    return normal, float(normal @ centre) + 0.5


def _meet(one: tuple[np.ndarray, float], other: tuple[np.ndarray, float]) -> np.ndarray | None:
    matrix = np.stack([one[0], other[0]])
    return None if abs(np.linalg.det(matrix)) < 0.1 else np.linalg.solve(matrix, [one[1], other[1]])


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
