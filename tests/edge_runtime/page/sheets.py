"""Sheets of grid paper, seen by a camera whose place is known."""

from __future__ import annotations

import numpy as np
from PIL import Image

MM = 8  # pixels a millimetre of the sheet
DESK = (140, 100, 70)


def sheet(width: int = 280, height: int = 200, fine: bool = True) -> Image.Image:
    """RGB grid paper of so many mm; lines each 5 mm and, fine, each 1 mm; a black curve across its middle."""
    values = np.full((height * MM, width * MM, 3), (255, 252, 250), np.uint8)
    for step, thick, colour in ((1, 1, (255, 205, 205)), (5, 2, (235, 140, 140)))[0 if fine else 1 :]:
        for line in range(0, max(width, height) * MM, step * MM):
            values[line : line + thick, :] = colour
            values[:, line : line + thick] = colour
    x = np.arange(width * MM)
    wave = (height * MM / 2 - 12 * MM * np.abs(np.sin(x / (9 * MM))) ** 21).astype(int)
    for at, low, high in zip(x[1:], np.minimum(wave[:-1], wave[1:]), np.maximum(wave[:-1], wave[1:]), strict=True):
        values[low : high + 4, at] = 20
    return Image.fromarray(values)


def seen(page: Image.Image, corners: list[tuple[float, float]], size: tuple[int, int]) -> Image.Image:
    """The sheet as a picture of `size` in which its corners, from the top left clockwise, lie at these pixels."""
    rows, right = [], []
    w, h = page.size
    for (x, y), (u, v) in zip(corners, ((0, 0), (w, 0), (w, h), (0, h)), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    plane = np.linalg.solve(np.array(rows, float), np.array(right, float))
    return page.transform(size, Image.Transform.PERSPECTIVE, plane.tolist(), Image.Resampling.BICUBIC, fillcolor=DESK)


def turned(page: Image.Image, degrees: float, scale: float, size: tuple[int, int]) -> Image.Image:
    """The sheet in the middle of the picture, turned clockwise, `scale` pixels a pixel."""
    angle = np.deg2rad(degrees)
    half = np.array(page.size) * scale / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = [tuple(turn @ (half * sign) + np.array(size) / 2) for sign in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return seen(page, [(float(x), float(y)) for x, y in corners], size)
