"""Empty ECG paper."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

_Colour = tuple[int, int, int]


@lru_cache(maxsize=8)
def grid(
    width: int,
    height: int,
    px: float,
    paper: _Colour,
    minor: _Colour | None,
    major: _Colour | None,
    line_mm: tuple[float, float],
) -> np.ndarray:
    """uint8 RGB [height, width, 3] with lines every millimetre (minor) and every fifth (major), line_mm wide, at px
    pixels a millimetre; cached because many pages share one grid."""
    layers = []
    for colour, step_mm, wide_mm in ((minor, 1.0, line_mm[0]), (major, 5.0, line_mm[1])):
        if colour is not None:
            line = max(wide_mm * px, 0.35)
            bare = 1 - _line_cover(height, step_mm * px, line), 1 - _line_cover(width, step_mm * px, line)
            layers.append((colour, 1 - np.outer(*bare)))
    channels = []
    for c in range(3):  # one channel at a time: numpy is slow on rows of three
        channel = np.full((height, width), paper[c], np.float32)
        for colour, cover in layers:
            channel += (colour[c] - channel) * cover
        channels.append(channel)
    return (cv2.merge(channels) + 0.5).astype(np.uint8)


def _line_cover(length: int, step: float, width: float) -> np.ndarray:
    """Share of each pixel [length] that periodic lines of `width` pixels cover: exact area sampling, so no moire."""
    edges = np.arange(length + 1, dtype=np.float64) + 0.5 * width
    covered = np.floor(edges / step) * width + np.minimum(edges % step, width)
    return np.clip(np.diff(covered), 0, 1).astype(np.float32)
