"""What happens to the sheet before anybody photographs it: folds, crumpling, pen marks, stamps.

Each effect takes and returns RGB uint8 [H, W, 3], never touches its input, and scales with `strength` in (0, 1].
"""

from __future__ import annotations

import cv2
import numpy as np

from pulse.ecg.photo.fields import GAIN_STEPS, enlarged, grid, lit, noise_field, resampled

PENS = ((25, 40, 120), (30, 60, 160), (35, 35, 40), (20, 20, 20), (170, 30, 35))
_SHIFT = 3  # strokes are drawn to an eighth of a pixel, or small writing clots
STAMPS = ("COPY", "REVIEWED", "ECG DONE", "CARDIOLOGY", "WARD 4", "SEEN", "URGENT", "FILED")


def creases(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Folds (a line and a step of shade across it) or, less often, a crumpled sheet."""
    if rng.random() < 0.3:
        return _crumpled(page, rng, strength)
    return _folded(page, rng, strength)


def marks(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """One to four pen marks (words, circles, underlines, ticks) and sometimes a stamp; traces show through ink."""
    ink = np.full_like(page, 255)
    unit = max(page.shape[:2]) / 544
    fade = rng.uniform(0.0, 0.35)  # a tired pen is grey
    colour = tuple(round(c + (255 - c) * fade) for c in PENS[rng.integers(len(PENS))])
    width = max(1, round(rng.uniform(0.5, 1.7) * unit))
    for _ in range(1 + round(3 * strength * rng.random())):
        draw = (_words, _words, _circle, _underline, _tick)[rng.integers(5)]
        pen = max(1, round(0.8 * unit)) if draw is _words else width
        cv2.polylines(ink, draw(page.shape[:2], rng, unit), False, colour, pen, cv2.LINE_AA, _SHIFT)
    if rng.random() < 0.3:
        _stamp(ink, rng, unit)
    return cv2.multiply(page, ink, scale=1 / 255)


def _folded(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    height, width = page.shape[:2]
    rows, cols = np.mgrid[0:48, 0:64].astype(np.float32)
    y, x = rows * (height / 47), cols * (width / 63)
    shade = np.ones((48, 64), np.float32)
    lines = []
    upright = rng.random() < 0.6
    for place in ((0.5,), (1 / 3, 2 / 3), (0.25, 0.5, 0.75), tuple(rng.uniform(0.1, 0.9, 1)))[rng.integers(4)]:
        tilt = rng.normal(0, 0.02) if rng.random() < 0.8 else rng.uniform(-0.6, 0.6)
        angle = tilt if upright else tilt + np.pi / 2
        normal = np.array([np.cos(angle), np.sin(angle)])
        middle = np.array([place + rng.normal(0, 0.01), 0.5] if upright else [0.5, place + rng.normal(0, 0.01)])
        middle = middle * (width, height)
        distance = (x - middle[0]) * normal[0] + (y - middle[1]) * normal[1]
        reach = rng.uniform(0.05, 0.25) * width
        step = rng.uniform(0.03, 0.10) * strength * rng.choice((-1, 1))
        shade *= 1 + step * np.tanh(distance / (0.01 * width)) * np.exp(-np.abs(distance) / reach)
        along = np.array([-normal[1], normal[0]]) * (width + height)
        lines.append((middle - along, middle + along, rng.choice((-1, 1)) * rng.uniform(0.08, 0.22) * strength))
    gain = enlarged(np.minimum(shade, 1.03), page, GAIN_STEPS)
    thick = max(1, round(max(height, width) / 544 * rng.uniform(0.6, 1.6)))
    for start, end, depth in lines:
        ends = np.rint(np.stack([start, end])).astype(int)
        # worn paper shows light beside a pressed dark line
        cv2.line(gain, ends[0] + thick, ends[1] + thick, GAIN_STEPS * (1 - depth / 2), thick)
        cv2.line(gain, ends[0], ends[1], GAIN_STEPS * (1 + depth), thick)
    return lit(page, gain)


def _crumpled(page: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Flat facets (cells nearest to random points), each with a slope that shades it and shifts its print."""
    height, width = page.shape[:2]
    rows, cols = np.mgrid[0:48, 0:64].astype(np.float32)
    slopes_xy: np.ndarray = np.zeros((48, 64, 2), np.float32)
    for facets, steep in ((10, 0.6), (40, 0.4)):
        points = rng.uniform(0, (48, 64), (facets, 2)).astype(np.float32)[..., None, None]
        nearest = ((rows - points[:, 0]) ** 2 + (cols - points[:, 1]) ** 2).argmin(axis=0)
        slopes_xy += rng.uniform(-steep, steep, (facets, 2)).astype(np.float32)[nearest]
    slopes_xy = cv2.GaussianBlur(slopes_xy, (0, 0), rng.uniform(0.5, 1.2))
    shift = cv2.resize(slopes_xy, (width, height), interpolation=cv2.INTER_LINEAR)
    light = rng.uniform(0, 2 * np.pi)
    toward = np.array([[np.cos(light), np.sin(light)]], np.float32)
    gain = 1 + cv2.transform(slopes_xy, toward * rng.uniform(0.12, 0.26) * strength)
    reach = max(height, width) / 544 * rng.uniform(0.8, 2.2) * strength  # pixels: QRS shapes stay what they are
    moved = resampled(page, cv2.scaleAdd(shift, reach, grid(height, width)))
    return lit(moved, enlarged(np.minimum(gain, 1.03), page, GAIN_STEPS))


def _place(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A spot as (x, y): mostly in the margins above and below the traces, where people write."""
    x = rng.uniform(0.03, 0.8)
    y = rng.choice((rng.uniform(0.03, 0.16), rng.uniform(0.86, 0.97), rng.uniform(0.1, 0.9)), p=(0.45, 0.25, 0.3))
    return np.array([x * shape[1], y * shape[0]])


def _words(shape: tuple[int, int], rng: np.random.Generator, unit: float) -> list[np.ndarray]:
    """One to four cursive words: loops whose height and width change from letter to letter."""
    start, size = _place(shape, rng), unit * rng.uniform(5, 10)
    slant, slope = rng.uniform(0, 0.5), rng.normal(0, 0.04)
    strokes = []
    for _ in range(rng.integers(1, 5)):
        letters = int(rng.integers(3, 9))
        t = np.linspace(0, letters, 7 * letters)
        tall = np.interp(t, np.arange(letters + 1), rng.choice((0.4, 0.5, 0.6, 1.2), letters + 1))
        y = tall * np.cos(2 * np.pi * t) - 0.5 * tall
        x = 0.75 * t + 0.35 * np.sin(2 * np.pi * t + rng.uniform(-0.5, 0.5)) - slant * y
        points = np.stack([x, y + slope * x], axis=1) * size + start
        strokes.append(_ink(points))
        start = start + (size * (0.75 * letters + 1.2), slope * size * letters)
    return strokes


def _circle(shape: tuple[int, int], rng: np.random.Generator, unit: float) -> list[np.ndarray]:
    centre = rng.uniform((0.1, 0.15), (0.9, 0.85)) * (shape[1], shape[0])
    t = np.linspace(0, 2 * np.pi * rng.uniform(1.0, 1.2), 40) + rng.uniform(0, 6)
    radii = unit * rng.uniform((15, 12), (60, 35)) * (1 + 0.08 * np.sin(t + rng.uniform(0, 6)) + 0.01 * t)[:, None]
    return [_ink(centre + radii * np.stack([np.cos(t), np.sin(t)], axis=1))]


def _underline(shape: tuple[int, int], rng: np.random.Generator, unit: float) -> list[np.ndarray]:
    start, length = _place(shape, rng), unit * rng.uniform(30, 120)
    x = np.linspace(0, 1, 12)
    y = np.cumsum(rng.normal(0, 0.006, 12)) + rng.normal(0, 0.03) * x
    stroke = np.stack([x, y], axis=1) * length + start
    return [_ink(stroke), _ink(stroke + (0, 3 * unit))][: rng.integers(1, 3)]


def _tick(shape: tuple[int, int], rng: np.random.Generator, unit: float) -> list[np.ndarray]:
    """A tick or an arrow, as one marks a beat."""
    start, size = _place(shape, rng), unit * rng.uniform(8, 20)
    tick = np.array([[0, 0], [0.3, 0.4], [1, -0.8]])
    arrow = np.array([[0, 0], [1, 1], [0.65, 0.95], [1, 1], [0.95, 0.65]])
    return [_ink((tick if rng.random() < 0.5 else arrow) * size + start)]


def _ink(points: np.ndarray) -> np.ndarray:
    return np.rint(points * 2**_SHIFT).astype(np.int32)


def _stamp(ink: np.ndarray, rng: np.random.Generator, unit: float) -> None:
    """Stamps a framed word on `ink`, turned a little and unevenly pressed."""
    word, scale = str(rng.choice(STAMPS)), 0.45 * unit * rng.uniform(0.8, 1.5)
    thick = max(1, round(1.2 * unit))
    (wide, tall), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    pad = round(5 * unit)
    side = int(np.hypot(wide + 2 * pad, tall + 2 * pad)) + 2
    if side >= min(ink.shape[:2]):
        return  # no room for a stamp of a legible size
    colour = tuple(int(c) for c in PENS[rng.choice((0, 1, 4))])
    patch: np.ndarray = np.full((side, side, 3), 255, np.uint8)
    left, top = (side - wide) // 2, (side - tall) // 2
    cv2.putText(patch, word, (left, top + tall), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)
    cv2.rectangle(patch, (left - pad, top - pad), (left + wide + pad, top + tall + pad), colour, thick)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-20, 20), 1)
    patch = cv2.warpAffine(patch, turn, (side, side), borderValue=(255, 255, 255))
    pressed = 0.65 + 0.25 * noise_field(rng, (side, side), 4)[..., None]
    patch = np.clip(255 - (255 - patch) * np.clip(pressed, 0.1, 1), 0, 255).astype(np.uint8)
    y = int(rng.integers(0, ink.shape[0] - side))
    x = int(rng.integers(0, ink.shape[1] - side))
    spot = ink[y : y + side, x : x + side]
    np.minimum(spot, patch, out=spot)
