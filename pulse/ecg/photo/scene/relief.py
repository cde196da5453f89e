"""How a sheet of paper lies: flat, bent, folded or crumpled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Relief:
    """Height above the desk, in mm, as a sum of creases and of one bend.

    A crease rises on both sides of a line: across [k, 2] are unit vectors at right angles to the lines, at [k] mm their
    distances from the sheet's corner, rise [k] mm a mm (below 0: a valley), round [k] mm the width of the crest. The
    bend is a cosine of `swing` mm and `length` mm a period along the unit vector `along` [2].
    """

    across: Array
    at: Array
    rise: Array
    round: Array
    along: Array
    swing: float
    length: float

    def height(self, places: Array) -> Array:
        """[..., 1 of] mm at places (x, y) [..., 2] in mm."""
        away = places @ self.across.T - self.at
        creased = (np.sqrt(away**2 + self.round**2) * self.rise).sum(-1)
        bent: Array = creased + self.swing * np.cos(2 * np.pi / self.length * (places @ self.along))
        return bent

    def slope(self, places: Array) -> Array:
        """mm a mm along x and y [..., 2] at places [..., 2]."""
        away = places @ self.across.T - self.at
        creased = (away / np.sqrt(away**2 + self.round**2) * self.rise) @ self.across
        turn = 2 * np.pi / self.length
        bent: Array = creased - self.swing * turn * np.sin(turn * (places @ self.along))[..., None] * self.along
        return bent


def drawn_relief(rng: np.random.Generator, paper: tuple[float, float]) -> Relief:
    """Of a sheet of `paper` mm (width, height): folded as people fold for a pocket, crumpled, bent, or several."""
    folds = int(rng.integers(1, 4)) if rng.random() < 0.5 else 0
    crumples = int(rng.integers(8, 26)) if rng.random() < 0.3 else 0
    angles = [rng.choice((0, np.pi / 2)) + rng.normal(0, 0.15) for _ in range(folds)]
    angles += list(rng.uniform(0, np.pi, crumples))
    across = np.stack([np.cos(angles), np.sin(angles)], -1).reshape(-1, 2)
    through = rng.uniform(0.15, 0.85, (folds + crumples, 2)) * paper
    rise = np.tan(np.radians(np.concatenate([rng.uniform(2, 11, folds), rng.uniform(0.5, 3, crumples)])))
    rise *= rng.choice((-1, 1), folds + crumples)
    bend = rng.uniform(0, np.pi)
    return Relief(
        across,
        (across * through).sum(-1),
        rise,
        rng.uniform(0.5, 3, folds + crumples),
        np.array([np.cos(bend), np.sin(bend)]),
        float(rng.uniform(2, 14)) if rng.random() < 0.5 else 0.0,
        float(rng.uniform(1.3, 3) * paper[0]),
    )
