"""A drawn page as the page reader hands a photograph of it on: ink on white, with what the reader leaves behind.

Reading a photograph costs a quarter of a second, drawing a page for training some milliseconds; so training does not
photograph and flatten, it draws what is left: a scale that is some percent wrong, small bends, remains of the grid,
shades of folds, the desk's dark rim, white where the photograph ended.
"""

from __future__ import annotations

import cv2
import numpy as np

from pulse.ecg.photo.camera import blur, jpeg, low_resolution, noise
from pulse.ecg.photo.fields import grid, noise_field
from pulse.ecg.photo.sheet import marks

_PAPER = 190.0  # grey levels from which on it is grid or paper, not ink


def flattened(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A new page uint8 RGB [H, W, 3] of the same size. page: the drawn one, its paper and grid pale (variety.pale)."""
    if rng.random() < 0.25:
        page = marks(page, rng, 1.0)
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = _lit(_grid_left(grey, rng), rng)
    seen = _moved(grey, rng)
    shot = cv2.cvtColor(np.clip(seen, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
    for effect, chance in ((blur, 0.6), (low_resolution, 0.25), (noise, 0.4), (jpeg, 0.2)):
        if rng.random() < chance:
            shot = effect(shot, rng, rng.uniform(0.2, 1))
    return shot


def _grid_left(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The grid gone in parts: clearest near an edge, where the reader knows it least."""
    height, width = grey.shape
    left = np.clip(rng.uniform(0, 0.9) + 0.5 * noise_field(rng, (24, 32), 3), 0, 1.5)
    rows, columns = np.mgrid[-1:1:24j, -1:1:32j]
    side = (rows, -rows, columns, -columns)[int(rng.integers(4))]
    left = left + rng.uniform(0, 1.2) * np.clip(side - rng.uniform(0.4, 0.9), 0, 1) * 2
    left = cv2.resize(left.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    pale = np.clip((grey - _PAPER) / 30, 0, 1)
    return grey + (255 - grey) * pale * (1 - left)


def _lit(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ink of an uneven strength, what is left of a few folds, and a shade here and there."""
    height, width = grey.shape
    fade = np.clip(rng.uniform(0, 0.45) + 0.1 * noise_field(rng, (12, 16), 3), 0, 0.6)
    grey = grey + (255 - grey) * cv2.resize(fade.astype(np.float32), (width, height))
    if rng.random() < 0.3:  # a crumpled sheet
        facets = noise_field(rng, (24, 32), int(rng.integers(5, 12))) * rng.uniform(3, 12)
        grey = grey + cv2.resize(np.minimum(facets, 0).astype(np.float32), (width, height))
    for _ in range(int(rng.integers(0, 4))):
        shade = np.zeros((height // 2, width // 2), np.float32)
        middle, angle = rng.uniform((0, 0), shade.shape[::-1]), rng.choice((0, np.pi / 2)) + rng.normal(0, 0.2)
        along = np.array([np.cos(angle), np.sin(angle)]) * (width if rng.random() < 0.7 else width / 20)
        ends = np.rint(np.stack([middle - along, middle + along])).astype(int)
        cv2.line(shade, ends[0], ends[1], 1.0, int(rng.integers(1, 4)))
        shade = cv2.GaussianBlur(shade, (0, 0), rng.uniform(0.5, 4))
        grey = grey - rng.uniform(10, 70) * cv2.resize(shade, (width, height))
    return grey


def _moved(grey: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut out of the sheet a little wrong, a little turned and bent; dark or white beyond."""
    height, width = grey.shape
    turn, bend = rng.normal(0, 0.006), rng.uniform(0, 1.2)
    scale = np.array([1, 1 + rng.normal(0, 0.012)])
    # Part of the sheet, or the sheet with a rim around it.
    scale *= rng.uniform(0.94, 1.12)
    centre = np.array([width, height]) / 2 + rng.normal(0, 0.012, 2) * (width, height)
    at = grid(height, width) - np.array([width, height], np.float32) / 2
    c, s = np.cos(turn), np.sin(turn)
    at = (at * scale.astype(np.float32)) @ np.array([[c, -s], [s, c]], np.float32) + centre.astype(np.float32)
    for axis in range(2):
        small = noise_field(rng, (12, 16), 3) * bend
        at[..., axis] += cv2.resize(small.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    beyond = 255.0 if rng.random() < 0.5 else float(rng.uniform(120, 250))
    x, y = cv2.split(at)
    seen = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)
    if rng.random() < 0.35:
        _cut_corners(seen, rng)
    return seen


def _cut_corners(seen: np.ndarray, rng: np.random.Generator) -> None:
    """White where the photograph ended before the sheet did, in place: one or two corners."""
    height, width = seen.shape
    for corner in rng.choice(4, int(rng.integers(1, 3)), replace=False):
        across, down = rng.uniform(0.02, 0.45) * width, rng.uniform(0.02, 0.22) * height
        x, y = (width, -1) if corner % 2 else (0, 1)
        top, sign = (0, 1) if corner < 2 else (height, -1)
        points = np.array([[x, top], [x + y * across, top], [x, top + sign * down]])
        cv2.fillPoly(seen, [np.rint(points).astype(np.int32)], 255.0, cv2.LINE_AA)
