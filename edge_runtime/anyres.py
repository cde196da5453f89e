"""LLaVA-1.6's any-resolution layout: the page squashed onto one tile, then the page itself cut into tiles.

Sizes are (width, height). As published with LLaVA (Liu et al. 2024, https://llava-vl.github.io/blog/2024-01-30-llava-next)
and used by PULSE (arXiv 2410.19008); every rounding is theirs, since a pixel more or less moves every patch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

Size = tuple[int, int]


def best_resolution(size: Size, pinpoints: Sequence[Size]) -> Size:
    """The canvas on which most of the picture's pixels survive; of equal ones that with the least empty room, then the
    first."""
    best, fewest_lost = pinpoints[0], (-1, 0)
    for width, height in pinpoints:
        scale = min(width / size[0], height / size[1])
        kept = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        if (kept, kept - width * height) > fewest_lost:
            best, fewest_lost = (width, height), (kept, kept - width * height)
    return best


def placed(size: Size, canvas: Size) -> tuple[Size, Size]:
    """The picture's size on the canvas, aspect kept, and the place of its upper left corner."""
    across, down = canvas[0] / size[0], canvas[1] / size[1]
    if across < down:
        new = canvas[0], min(math.ceil(size[1] * across), canvas[1])
    else:
        new = min(math.ceil(size[0] * down), canvas[0]), canvas[1]
    return new, ((canvas[0] - new[0]) // 2, (canvas[1] - new[1]) // 2)


def tiles(
    image: Image.Image, tile: Size, pinpoints: Sequence[Size], resample: Image.Resampling, fill: int
) -> np.ndarray:
    """uint8 [1 + n, H, W, C]: the whole picture squashed onto one tile, then the canvas's tiles row by row.

    Without pinpoints the first tile is all there is.
    """
    width, height = tile
    channels = len(image.getbands())
    whole = np.asarray(image.resize(tile, resample)).reshape(1, height, width, channels)
    if not pinpoints:
        return whole
    canvas = best_resolution(image.size, pinpoints)
    new, (left, top) = placed(image.size, canvas)
    page = np.full((canvas[1], canvas[0], channels), fill, np.uint8)
    page[top : top + new[1], left : left + new[0]] = np.asarray(image.resize(new, resample)).reshape(
        new[1], new[0], channels
    )
    rows, columns = canvas[1] // height, canvas[0] // width
    cut = page.reshape(rows, height, columns, width, channels).swapaxes(1, 2).reshape(-1, height, width, channels)
    return np.concatenate([whole, cut])


def pooled(features: np.ndarray, count: int, side: int) -> np.ndarray:
    """features [count * T, D] of so many tiles -> [count * T / side ** 2, D]: the means of blocks of side x side.

    T patches form a square grid whose side divides into blocks.
    """
    width, grid = features.shape[1], math.isqrt(len(features) // count)
    blocks = features.reshape(count, grid // side, side, grid // side, side, width)
    return blocks.mean((2, 4), dtype=np.float32).reshape(-1, width)


def unpadded(
    features: np.ndarray, newline: np.ndarray, size: Size, tile: Size, pinpoints: Sequence[Size]
) -> np.ndarray:
    """spatial_unpad: features [tiles * T, D] of a picture of `size` -> [tokens, D].

    The first tile's T tokens, then the canvas's patches as one grid without the rows or columns that hold nothing but
    fill, each row closed by `newline` [D]. T is a square number. Without pinpoints one `newline` follows the tile.
    """
    if not pinpoints:
        return np.concatenate([features, newline.astype(features.dtype)[None]])
    canvas, width = best_resolution(size, pinpoints), features.shape[1]
    rows, columns = canvas[1] // tile[1], canvas[0] // tile[0]
    count = len(features) // (1 + rows * columns)
    side = math.isqrt(count)
    grid = features[count:].reshape(rows, columns, side, side, width).swapaxes(1, 2)
    grid = grid.reshape(rows * side, columns * side, width)
    high, wide = grid.shape[:2]
    if size[0] / size[1] > wide / high:
        pad = (high - int(size[1] * (wide / size[0]))) // 2
        grid = grid[pad : high - pad]
    else:
        pad = (wide - int(size[0] * (high / size[1]))) // 2
        grid = grid[:, pad : wide - pad]
    ends = np.broadcast_to(newline.astype(grid.dtype), (grid.shape[0], 1, width))
    return np.concatenate([features[:count], np.concatenate([grid, ends], axis=1).reshape(-1, width)])
