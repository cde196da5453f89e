"""Where the camera is, and which place of the sheet each of its pixels sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pulse.ecg.photo.scene.relief import Relief

Array = np.ndarray[Any, Any]
_ROUNDS = 4  # of meeting the ray with the paper's height: slopes are small


@dataclass(frozen=True)
class View:
    """A pinhole camera.

    rotation [3, 3]: rows are the picture's x and y and the way the camera looks, in the sheet's x, y and depth. place
    [3]: mm; depth is below 0, above the paper. focal: in widths of the picture, which has size (width, height) pixels.
    """

    rotation: Array
    place: Array
    focal: float
    size: tuple[int, int]

    def places(self, relief: Relief, step: int) -> Array:
        """mm (x, y) of the sheet or of the desk beyond, in the middle of squares of `step` pixels: [h, w, 2]."""
        width, height = self.size
        x = (np.arange(width // step) + 0.5) * step / width - 0.5
        y = ((np.arange(height // step) + 0.5) * step - height / 2) / width
        rays = np.stack([*np.meshgrid(x, y), np.full((len(y), len(x)), self.focal)], -1) @ self.rotation
        on = self._met(rays, 0.0)
        for _ in range(_ROUNDS):
            on = self._met(rays, relief.height(on))
        return on

    def _met(self, rays: Array, height: Array | float) -> Array:
        along = (-height - self.place[2]) / rays[..., 2]
        return self.place[:2] + along[..., None] * rays[..., :2]


def drawn_view(rng: np.random.Generator, paper: tuple[float, float], size: tuple[int, int]) -> View:
    """Of a sheet of `paper` mm that takes 40 to 130 percent of the picture's width, seen from up to 35 degrees aside,
    turned by up to 20; one sheet in eight lies a quarter turned."""
    tilt, towards = np.radians(35) * rng.beta(1.2, 2.5), rng.uniform(0, 2 * np.pi)
    roll = np.radians(rng.uniform(-20, 20)) * rng.choice((0.2, 1))
    if quarter := rng.random() < 0.125:
        roll += np.pi / 2 * rng.choice((-1, 1, 2))
    rotation = _about(2, roll) @ _about(2, -towards) @ _about(0, tilt) @ _about(2, towards)
    focal = rng.uniform(0.75, 1.2)
    fills = rng.triangular(0.4, 0.95, 1.3)
    across = paper[1] if quarter else paper[0]
    aim = np.array(paper) * (0.5 + rng.normal(0, 0.05, 2))
    place = np.append(aim, 0.0) - rotation[2] * focal * across / fills
    return View(rotation, place, float(focal), size)


def _about(axis: int, angle: float) -> Array:
    """The rotation [3, 3] about x, y or z."""
    c, s = np.cos(angle), np.sin(angle)
    turn = np.eye(3)
    i, j = ((1, 2), (0, 2), (0, 1))[axis]
    turn[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return turn
