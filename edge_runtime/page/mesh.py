"""A page's squares in a picture: which pixel lies under each of their corners, and the page drawn from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.page.area import Box
from edge_runtime.page.surface import Surface
from edge_runtime.page.together import halves, together

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mesh:
    """at: pixels (x, y) of the picture under the corners of the page's squares of 5 mm, float64 [rows + 1,
    columns + 1, 2]. sure: how surely each square has a grid, 0 to 1 [rows, columns]."""

    at: Array
    sure: Array

    @classmethod
    def of(cls, surface: Surface, scale: float, low: Array, columns: int, rows: int) -> Mesh:
        """`rows` by `columns` squares from `low` on; scale: how many pixels of the surface make one of the picture."""
        corners = np.stack(np.meshgrid(np.arange(columns + 1) + low[0], np.arange(rows + 1) + low[1]), -1)
        found = surface.pixels(corners.reshape(-1, 2).astype(float)) / scale
        return cls(found.reshape(corners.shape), np.ones((rows, columns)))

    @property
    def columns(self) -> int:
        return self.at.shape[1] - 1

    @property
    def rows(self) -> int:
        return self.at.shape[0] - 1

    def carried(self, squares: Array, sure: Array) -> Mesh:
        """With what lies `squares` [rows, columns, 2] beside each square put into it."""
        padded = np.pad(squares, ((1, 1), (1, 1), (0, 0)), mode="edge")
        by = (padded[:-1, :-1] + padded[1:, :-1] + padded[:-1, 1:] + padded[1:, 1:]) / 4
        down, across = (np.gradient(self.at, axis=axis) for axis in (0, 1))
        return Mesh(self.at + by[..., :1] * across + by[..., 1:] * down, sure)

    def cut(self, box: Box) -> Mesh:
        """Of some of the squares."""
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        return Mesh(self.at[rows.start : rows.stop + 1, columns.start : columns.stop + 1], self.sure[rows, columns])

    def within(self, width: int, height: int) -> Mesh:
        """Sure of nothing beyond the picture."""
        inside: Array = np.all((self.at >= 0) & (self.at <= np.array([width, height])), axis=-1)
        whole = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
        return Mesh(self.at, np.where(whole, self.sure, 0))

    def draw(self, picture: Image.Image, cell: int) -> Array:
        """uint8 [h, w, 3], `cell` pixels a square; white where the picture ends."""

        def strip(rows: range) -> Array:
            mesh = [
                (
                    (i * cell, (j - rows.start) * cell, (i + 1) * cell, (j - rows.start + 1) * cell),
                    (*self.at[j, i], *self.at[j + 1, i], *self.at[j + 1, i + 1], *self.at[j, i + 1]),
                )
                for j in rows
                for i in range(self.columns)
            ]
            size, mode = (self.columns * cell, len(rows) * cell), Image.Transform.MESH
            return np.asarray(picture.transform(size, mode, mesh, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255)))

        return np.concatenate(together(strip, halves(self.rows)))
