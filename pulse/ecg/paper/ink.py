"""What a recorder draws on the paper: traces, the calibration mark, letters."""

from __future__ import annotations

import cv2
import numpy as np

_SHIFT = 4  # OpenCV takes points in 1/16 pixel: without it fine traces turn to stairs


def trace(
    mask: np.ndarray, mv: np.ndarray, left: float, step: float, base: float, px_per_mv: float, thickness: int
) -> None:
    """Samples mv [n] from `left` on, `step` apart, about the line at `base`, in pixels."""
    # The isoelectric line is not 0 mV in every recording: centre the strip on its median.
    y = base - (mv - np.median(mv)) * px_per_mv
    x = left + np.arange(len(mv)) * step
    points = np.stack([x, np.clip(y, 0, mask.shape[0] - 1)], axis=1)
    cv2.polylines(mask, [np.round(points * (1 << _SHIFT)).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, _SHIFT)


def pulse(
    mask: np.ndarray, left_mm: float, base_mm: float, mm_per_mv: float, mm_per_s: float, px: float, thickness: int
) -> None:
    """The calibration mark: 1 mV high, 200 ms wide."""
    up, end = base_mm - mm_per_mv, 0.8 + 0.2 * mm_per_s
    corners = [(0, base_mm), (0.8, base_mm), (0.8, up), (end, up), (end, base_mm), (end + 0.8, base_mm)]
    points = np.array([((left_mm + dx) * px, y * px) for dx, y in corners])
    cv2.polylines(mask, [np.round(points * (1 << _SHIFT)).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, _SHIFT)


def text(mask: np.ndarray, words: str, x: float, y: float, height_px: float, font: int) -> None:
    """Letters `height_px` high whose foot begins at (x, y)."""
    scale = height_px / 22  # a capital of Hershey Simplex is 22 pixels high at scale 1
    plain = words.encode("ascii", "replace").decode()  # Hershey fonts hold ASCII alone
    cv2.putText(mask, plain, (round(x), round(y)), font, scale, 255, max(1, round(height_px / 12)), cv2.LINE_AA)


def blend(image: np.ndarray, mask: np.ndarray, ink: tuple[int, int, int], opacity: float) -> None:
    """Lay ink over the paper where the mask is set, in place; only the touched pixels are computed."""
    hit = np.flatnonzero(mask)
    flat = image.reshape(-1, 3)
    under = flat[hit].astype(np.float32)
    share = mask.reshape(-1)[hit].astype(np.float32)[:, None] * (opacity / 255)
    flat[hit] = (under + (np.asarray(ink, np.float32) - under) * share + 0.5).astype(np.uint8)
