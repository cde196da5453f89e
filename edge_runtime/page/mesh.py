"""A page's squares in a picture: which pixel lies under each of their corners, and the page drawn from there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.page.area import Box
from edge_runtime.page.surface import Surface, homography, projected
from edge_runtime.page.together import halves, together

Array = np.ndarray[Any, Any]
_NOISE = 0.02  # squares, the median by which a flat sheet's mesh leaves its plane at most


@dataclass(frozen=True)
class Mesh:
    """at: pixels (x, y) of the picture under the corners of the page's squares of 5 mm, float64 [rows + 1,
    columns + 1, 2]."""

    at: Array

    @classmethod
    def of(cls, surface: Surface, scale: float, low: Array, columns: int, rows: int) -> Mesh:
        """`rows` by `columns` squares from `low` on; scale: how many pixels of the surface make one of the picture."""
        corners = np.stack(np.meshgrid(np.arange(columns + 1) + low[0], np.arange(rows + 1) + low[1]), -1)
        found = surface.pixels(corners.reshape(-1, 2).astype(float)) / scale
        return cls(found.reshape(corners.shape))

    @property
    def columns(self) -> int:
        return self.at.shape[1] - 1

    @property
    def rows(self) -> int:
        return self.at.shape[0] - 1

    def carried(self, squares: Array) -> Mesh:
        """With what lies `squares` [rows, columns, 2] beside each square put into it."""
        padded = np.pad(squares, ((1, 1), (1, 1), (0, 0)), mode="edge")
        by = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
        down, across = (np.gradient(self.at, axis=axis) for axis in (0, 1))
        return Mesh(self.at + by[..., :1] * across + by[..., 1:] * down)

    def straightened(self, sure: Array) -> Mesh:
        """The mesh of a plane where the sheet is one but for noise, else this one. sure [rows, columns]: how surely
        each square has a grid, by which it counts.

        A scan or a drawing is flat; there the noise of its squares costs more than all else that a curve is read with.
        """
        squares = np.stack(np.meshgrid(np.arange(self.columns + 1.0), np.arange(self.rows + 1.0)), -1).reshape(-1, 2)
        counts = np.pad(np.maximum(sure, 0), ((0, 1), (0, 1)), mode="edge")  # a likeness may be below 0
        at, strength = self.at.reshape(-1, 2), counts.ravel() + 1e-6
        if not np.isfinite(at).all():
            return self
        plane = homography(at, squares, strength)
        miss = np.hypot(*(projected(plane, at) - squares).T)
        flat = float(np.median(miss[strength >= np.median(strength)])) <= _NOISE  # not where it is no number
        if not flat:
            return self
        return Mesh(projected(np.linalg.inv(plane), squares).reshape(self.at.shape))

    def cut(self, box: Box) -> Mesh:
        """Of some of the squares."""
        return Mesh(self.at[box.top : box.bottom + 1, box.left : box.right + 1])

    def inside(self, width: int, height: int) -> Array:
        """Which squares lie whole in a picture of that size, bool [rows, columns]."""
        within: Array = np.all((self.at >= 0) & (self.at <= np.array([width, height])), axis=-1)
        inside: Array = within[:-1, :-1] & within[1:, :-1] & within[:-1, 1:] & within[1:, 1:]
        return inside

    def draw(self, picture: Image.Image, cell: int, step: int = 1) -> Array:
        """uint8 [h, w, 3], `cell` pixels a square, drawn in pieces of `step` squares; white where the picture ends."""
        down, across = (np.unique([*range(0, count, step), count]).tolist() for count in (self.rows, self.columns))

        def strip(rows: range) -> Array:
            top, bottom = down[rows.start], down[rows.stop]
            mesh = [
                (
                    (left * cell, (down[j] - top) * cell, right * cell, (down[j + 1] - top) * cell),
                    (*at[j][left], *at[j + 1][left], *at[j + 1][right], *at[j][right]),
                )
                for j in rows
                for left, right in pairwise(across)
            ]
            size, mode = (self.columns * cell, (bottom - top) * cell), Image.Transform.MESH
            return np.asarray(picture.transform(size, mode, mesh, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255)))

        at = [self.at[row] for row in down]
        return np.concatenate(together(strip, halves(len(down) - 1)))
