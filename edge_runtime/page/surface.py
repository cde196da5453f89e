"""The sheet as the camera saw it: which pixel of the picture lies under each square of the paper.

A flat sheet is a homography of the picture; a bent or folded one is that plus a smooth rest, a thin-plate spline
through what is left over (Bookstein, IEEE TPAMI 11, 567, 1989), regularised since phases carry noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.page.lattice import Lattice

Array = np.ndarray[Any, Any]
_STIFFNESS = 0.3  # of the spline, in the unit of its kernel
_ROUNDS = 6


@dataclass(frozen=True)
class Surface:
    """plane: homography [3, 3] from pixels to squares as a flat sheet has them. knots [m, 2] in those squares and
    weights [m + 3, 2]: the spline that is added."""

    plane: Array
    knots: Array
    weights: Array

    @classmethod
    def fit(cls, lattice: Lattice) -> Surface:
        """Through the lattice's patches. What lies beyond a fold leaves the plane as a whole, so a patch counts as it
        is clear, not as it is near the plane; those that lie half beside the paper are the unclear ones."""
        plane = homography(lattice.at, lattice.squares, np.minimum(lattice.strength, 20))
        flat = projected(plane, lattice.at)
        clear = np.minimum(1, lattice.strength / np.median(lattice.strength)) ** 2
        return cls(plane, flat, _spline(flat, lattice.squares - flat, _STIFFNESS / clear))

    def squares(self, at: Array) -> Array:
        """Squares (u, v) under pixels [n, 2]."""
        flat = projected(self.plane, at)
        return flat + self._bend(flat)

    def pixels(self, squares: Array) -> Array:
        """Pixels [n, 2] of squares [n, 2]; the bend is small and smooth, so that a few rounds find its inverse."""
        flat = squares - self._bend(squares)
        for _ in range(3):
            flat = squares - self._bend(flat)
        return projected(np.linalg.inv(self.plane), flat)

    def _bend(self, flat: Array) -> Array:
        basis = _kernel(flat, self.knots)
        bend: Array = basis @ self.weights[:-3] + self.weights[-3] + flat @ self.weights[-2:]
        return bend


def projected(plane: Array, at: Array) -> Array:
    """Places [n, 2] under a homography [3, 3]."""
    found = at @ plane[:, :2].T + plane[:, 2]
    places: Array = found[:, :2] / found[:, 2:]
    return places


def homography(at: Array, squares: Array, strength: Array) -> Array:
    """The homography [3, 3] through at -> squares, both [n, 2], by reweighted least squares."""
    centre, size = at.mean(0), np.ptp(at, axis=0).max() + 1e-9
    middle, span = squares.mean(0), np.ptp(squares, axis=0).max() + 1e-9
    x, y = ((at - centre) / size).T
    u, v = ((squares - middle) / span).T
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate(
        [
            np.stack([x, y, one, none, none, none, -u * x, -u * y], 1),
            np.stack([none, none, none, x, y, one, -v * x, -v * y], 1),
        ]
    )
    right, trust = np.concatenate([u, v]), np.ones_like(x)
    for _ in range(_ROUNDS):
        weight = np.tile(np.sqrt(trust * strength), 2)
        found = np.linalg.lstsq(rows * weight[:, None], right * weight, rcond=None)[0]
        miss = np.hypot(*(rows @ found - right).reshape(2, -1)) * span
        trust = 1 / (1 + (miss / max(0.25, 2 * float(np.median(miss)))) ** 4)
    normal = np.append(found, 1).reshape(3, 3)
    before = np.array([[1 / size, 0, -centre[0] / size], [0, 1 / size, -centre[1] / size], [0, 0, 1]])
    after = np.array([[span, 0, middle[0]], [0, span, middle[1]], [0, 0, 1]])
    plane: Array = after @ normal @ before
    return plane


def _kernel(a: Array, b: Array) -> Array:
    squared = (a[:, None, 0] - b[:, 0]) ** 2 + (a[:, None, 1] - b[:, 1]) ** 2
    kernel: Array = squared * np.log(squared + 1e-9) / 200
    return kernel


def _spline(at: Array, values: Array, stiffness: Array) -> Array:
    """Weights [m + 3, 2] of the thin-plate spline that comes near values [m, 2] at `at`, the nearer the less stiff."""
    count = len(at)
    affine = np.concatenate([np.ones((count, 1)), at], 1)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(at, at) + np.diag(stiffness)
    system[:count, count:], system[count:, :count] = affine, affine.T
    return np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
