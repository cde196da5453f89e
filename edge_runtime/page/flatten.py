"""A photograph, scan or drawing of an ECG page as a flat page: 4 pixels a millimetre, upright lines, white paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.page import area, light
from edge_runtime.page import lattice as lattices
from edge_runtime.page.lattice import Lattice, Patches
from edge_runtime.page.surface import Surface

Array = np.ndarray[Any, Any]
PX_PER_MM = 4
CELL = 5 * PX_PER_MM  # pixels of a square of 5 mm
_MOST_SQUARES = 120  # of 5 mm across a page: more are millimetres
_MESH = 2  # squares between the nodes of the warp
_MARGIN = 3.0  # squares kept beyond the outermost patches' centres


@dataclass(frozen=True)
class FlatPage:
    """page: RGB, evenly lit, CELL pixels a square of 5 mm. ink: uint8 [h, w], its grid faded. rows:
    the first and the last pixel row of the traces. surface: from pixels of the picture that was searched to squares; scale:
    those pixels a pixel of the picture. origin: the square at the page's top left."""

    page: Image.Image
    ink: Array
    rows: tuple[int, int]
    lattice: Lattice
    surface: Surface
    scale: float
    origin: tuple[float, float]

    @property
    def px_per_mm(self) -> float:
        """Of the picture as it came, the median over the page."""
        return self.lattice.period / 5 / self.scale


def flatten(picture: Image.Image) -> FlatPage | None:
    """The flat page in an RGB picture; None where no grid is found."""
    scale = lattices.WORK / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    small = picture.resize(size, method, reducing_gap=2.0)
    patches = lattices.cut(lattices.contrast(small))
    lattice = five_millimetres(patches)
    if lattice is None:
        return None
    surface = Surface.fit(lattice)
    low = np.floor(np.percentile(lattice.squares, 2, axis=0) - _MARGIN)
    high = np.ceil(np.percentile(lattice.squares, 98, axis=0) + _MARGIN)
    columns, rows = (high - low).astype(int)
    page = light.even(_warp(picture, surface, scale, low, columns, rows), CELL)
    grey = np.asarray(page.convert("L"))
    lines = light.straight_lines(grey, CELL)
    paper = area.paper(lines, CELL)
    box = tuple(side * CELL for side in paper)
    inside = slice(box[1], box[3]), slice(box[0], box[2])
    ink = light.without(grey[inside], lines[inside])
    top, bottom = area.trace_rows(ink, PX_PER_MM)
    return FlatPage(page.crop(box), ink, (top, bottom), lattice, surface, scale, (low[0] + paper.left, low[1] + paper.top))


def five_millimetres(patches: Patches) -> Lattice | None:
    """The lattice of the page's 5 mm squares, whichever lines are the clearest."""
    lattice = lattices.find(patches)
    if lattice is None:
        return None
    waves = lattice.waves.mean(0)
    own = lattice.height(patches, 1)
    if lattice.height(patches, 1 / 5) > 0.2 * own:
        return lattices.follow(patches, waves / 5) or lattice
    if lattice.height(patches, 1 / 2) > 0.6 * own:
        return lattices.follow(patches, waves / 2) or lattice
    if np.ptp(lattice.squares, axis=0).max() > _MOST_SQUARES:
        return lattice.divided(5)
    return lattice


def _warp(picture: Image.Image, surface: Surface, scale: float, low: Array, columns: int, rows: int) -> Image.Image:
    """`rows` by `columns` squares from `low` on, CELL pixels each."""
    across, down = (np.unique(np.append(np.arange(0, count, _MESH), count)) for count in (columns, rows))
    nodes = np.stack(np.meshgrid(across + low[0], down + low[1]), -1)
    at = (surface.pixels(nodes.reshape(-1, 2).astype(float)) / scale).reshape(nodes.shape)
    mesh = [
        (
            (across[i] * CELL, down[j] * CELL, across[i + 1] * CELL, down[j + 1] * CELL),
            (*at[j, i], *at[j + 1, i], *at[j + 1, i + 1], *at[j, i + 1]),
        )
        for j in range(len(down) - 1)
        for i in range(len(across) - 1)
    ]
    size = (int(columns) * CELL, int(rows) * CELL)
    return picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255))
