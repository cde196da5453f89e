"""Colours and lines that the drawings share."""

from __future__ import annotations

import cv2
import numpy as np


def colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    """RGB, each channel in [low, high)."""
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return r, g, b


def darker(tint: tuple[int, int, int]) -> tuple[int, int, int]:
    """Every fifth line of squared paper."""
    red, green, blue = (int(0.8 * part) for part in tint)
    return red, green, blue


def sheet(rng: np.random.Generator, width: int, height: int, low: int = 225) -> np.ndarray:
    """Empty paper of one pale colour, uint8 [height, width, 3]."""
    return np.full((height, width, 3), colour(rng, low), np.uint8)


def ruled(image: np.ndarray, step: float, tint: tuple[int, int, int], upright: bool = True) -> None:
    """Lines every `step` pixels, in place; upright: also from top to bottom."""
    height, width = image.shape[:2]
    for y in np.arange(0, height, step):
        cv2.line(image, (0, round(y)), (width, round(y)), tint, 1)
    for x in np.arange(0, width, step) if upright else ():
        cv2.line(image, (round(x), 0), (round(x), height), tint, 1)


def curve(image: np.ndarray, x: np.ndarray, y: np.ndarray, tint: tuple[int, int, int], thick: int = 1) -> None:
    """A line through points in pixels, x and y [n], in place."""
    points = np.rint(np.stack([x, y], 1) * 16).astype(np.int32)
    cv2.polylines(image, [points], False, tint, thick, cv2.LINE_AA, 4)
