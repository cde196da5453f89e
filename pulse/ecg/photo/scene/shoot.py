"""The picture that a phone takes of a printed page on a desk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pulse.ecg.photo.camera import blur, jpeg, noise
from pulse.ecg.photo.geometry import desk
from pulse.ecg.photo.light import shadows, temperature
from pulse.ecg.photo.scene.relief import Relief, drawn_relief
from pulse.ecg.photo.scene.view import drawn_view
from pulse.ecg.photo.sheet import marks

Array = np.ndarray[Any, Any]
SIZE = (1600, 1200)
_STEP = 4  # pixels between the places that are computed


@dataclass(frozen=True)
class Shot:
    """A picture, and the truth that a page reader has to find.

    image: uint8 RGB [H, W, 3]. places: mm (x, y) of the sheet, float64 [h, w, 2], in the middle of each of h by w equal
    parts of the image. paper: the sheet's width and height in mm.
    """

    image: Array
    places: Array
    paper: tuple[float, float]


def shoot(page: Array, px_per_mm: float, seed: int | np.random.Generator, size: tuple[int, int] = SIZE) -> Shot:
    """A picture of at most `size` (width, height). page: uint8 RGB [H, W, 3] of px_per_mm pixels a mm of paper.

    seed: the same int gives the same bytes; a Generator is advanced. Paper, light and camera are drawn from it.
    """
    rng = np.random.default_rng(seed)
    if rng.random() < 0.3:
        page = marks(page, rng, 1.0)
    paper = page.shape[1] / px_per_mm, page.shape[0] / px_per_mm
    relief = drawn_relief(rng, paper)
    places = drawn_view(rng, paper, size).places(relief, _STEP)
    shade = cv2.resize(_shade(relief, places, rng), size, interpolation=cv2.INTER_LINEAR)
    at = cv2.resize((places * px_per_mm - 0.5).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    x, y = cv2.split(at)
    sheet = cv2.remap(page, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    white = np.full(page.shape[:2], 255, np.uint8)
    covered = cv2.remap(white, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0) / np.float32(255)
    under = _desk(rng, covered)
    seen = under + covered[..., None] * (sheet * shade[..., None] - under)
    return Shot(_taken(np.clip(seen, 0, 255).astype(np.uint8), rng), places, paper)


def _shade(relief: Relief, places: Array, rng: np.random.Generator) -> Array:
    """How bright the paper is [h, w], 1 where it lies flat: part of the light comes from one side (Lambert), part from
    everywhere."""
    slope = relief.slope(places)
    high, side = np.radians(rng.uniform(30, 75)), rng.uniform(0, 2 * np.pi)
    light = np.array([np.cos(high) * np.cos(side), np.cos(high) * np.sin(side), np.sin(high)])
    facing = (light[2] - slope @ light[:2]) / np.sqrt(1 + (slope**2).sum(-1)) / light[2]
    even = rng.uniform(0.3, 0.8)
    shade: Array = np.clip(even + (1 - even) * facing, 0.3, 1.2).astype(np.float32)
    return shade


def _desk(rng: np.random.Generator, covered: Array) -> Array:
    """What lies under the sheet, with the soft shadow that this throws: float32 [H, W, 3]."""
    height, width = covered.shape
    small = (max(8, width // 4), max(8, height // 4))
    colour = cv2.resize(desk(rng, small[1], small[0]), (width, height))
    shadow = cv2.resize(covered, small, interpolation=cv2.INTER_AREA)
    move = np.array([[1, 0, rng.normal(0, 3)], [0, 1, rng.normal(0, 3)]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(shadow, move, small), (0, 0), rng.uniform(1, 6))
    dark: Array = 1 - rng.uniform(0.2, 0.6) * cv2.resize(shadow, (width, height))
    return colour * dark[..., None]


def _taken(seen: Array, rng: np.random.Generator) -> Array:
    """Light, lens, sensor and file; one picture in four went through a messenger."""
    for effect, chance in ((shadows, 0.6), (temperature, 0.7), (blur, 0.4), (noise, 0.6)):
        if rng.random() < chance:
            seen = effect(seen, rng, rng.uniform(0.2, 1))
    if rng.random() < 0.25:
        scale = rng.uniform(800, 1300) / max(seen.shape)
        if scale < 1:
            seen = cv2.resize(seen, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        return jpeg(seen, rng, 1.0)
    return jpeg(seen, rng, 0.3)
