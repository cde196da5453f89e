"""A photograph, scan or drawing of an ECG page as a flat page: 4 pixels a millimetre, upright lines, white paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.page import area, light
from edge_runtime.page.lattice import WORK, Lattice, find, follow
from edge_runtime.page.mesh import Mesh
from edge_runtime.page.patches import Patches, contrast, cut
from edge_runtime.page.surface import Surface
from edge_runtime.page.together import halves, together
from edge_runtime.page.waves import across_first

Array = np.ndarray[Any, Any]
PX_PER_MM = 4
CELL = 5 * PX_PER_MM  # pixels of a square of 5 mm
_LEAST_COARSE = 13.5  # of a peak of coarse lines: traces reach 13 there
_HARMONICS = (2, 3, 4, 5, 6)
_CLEAR = 0.3  # of the height of the lines that were found
_MOST_SQUARES = 120  # of 5 mm across a page: more are millimetres
_STEP = 2  # squares of a piece that is drawn at once
_MARGIN = 3.0  # squares kept beyond the outermost patches' centres


@dataclass(frozen=True)
class Grid:
    """The 5 mm squares in a picture. lattice: in pixels of the picture that was searched; scale: how many of those make
    one of the picture that came."""

    lattice: Lattice
    scale: float

    @property
    def px_per_mm(self) -> float:
        """Of the picture as it came, the median over the page."""
        return self.lattice.period / 5 / self.scale

    @property
    def turned(self) -> float:
        """Degrees by which the page lies turned clockwise."""
        across = np.median(self.lattice.waves[:, 0], axis=0)
        return float(np.degrees(np.arctan2(across[1], across[0])))

    @property
    def bent(self) -> float:
        """Squares, root mean square, by which it leaves a grid of even, upright squares."""
        miss = np.zeros(len(self.lattice.at))
        for at, squares in zip(self.lattice.at.T, self.lattice.squares.T, strict=True):
            miss += (squares - np.polyval(np.polyfit(at, squares, 1), at)) ** 2
        return float(np.sqrt(miss.mean()))


@dataclass(frozen=True)
class FlatPage:
    """page: RGB, evenly lit, PX_PER_MM pixels a millimetre. ink: uint8 [h, w], the same in grey with its grid faded.
    mesh: where its squares lie in the picture that came.

    outline: pixels (x, y) [4, 2] of the picture that came under the page's corners, from the top left clockwise. fills:
    share of that picture which the page takes, 0 to 1.
    """

    page: Image.Image
    ink: Array
    mesh: Mesh
    outline: Array
    fills: float


def find_grid(picture: Image.Image) -> Grid | None:
    """The grid in an RGB picture of any size, at least 1 pixel a side; None where there is none."""
    scale = WORK / max(picture.size)
    patches = cut(contrast(_scaled(picture, scale)))
    lattice = five_millimetres(patches)
    return None if lattice is None else Grid(lattice, scale)


def _scaled(picture: Image.Image, scale: float) -> Array:
    """uint8 [h, w, 3]: the picture, `scale` times as large."""
    width, height = (max(1, round(side * scale)) for side in picture.size)
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR

    def some(rows: range) -> Array:
        top, bottom = (row * picture.height / height for row in (rows.start, rows.stop))
        return np.asarray(picture.resize((width, len(rows)), method, (0, top, picture.width, bottom), reducing_gap=2.0))

    return np.concatenate(together(some, halves(height)))


def flatten(picture: Image.Image, grid: Grid) -> FlatPage:
    """The flat page in an RGB picture in which find_grid found a grid."""
    lattice, scale = grid.lattice, grid.scale
    low = np.floor(np.percentile(lattice.squares, 2, axis=0) - _MARGIN)
    high = np.ceil(np.percentile(lattice.squares, 98, axis=0) + _MARGIN)
    mesh = Mesh.of(Surface.fit(lattice), scale, low, *(high - low).astype(int).tolist())
    page = Image.fromarray(light.even(mesh.draw(picture, CELL, _STEP), CELL))
    grey = np.asarray(page.convert("L"))
    lines = light.straight_lines(grey, CELL)
    paper = area.paper(lines, CELL, lattice.squares[lattice.clear] - low)
    left, top, right, bottom = (side * CELL for side in paper)
    ink = light.without(grey[top:bottom, left:right], lines[top:bottom, left:right])
    mesh = mesh.cut(paper)
    outline = mesh.at[[0, 0, -1, -1], [0, -1, -1, 0]]
    fills = min(1.0, _area(outline) / (picture.width * picture.height))
    return FlatPage(page.crop((left, top, right, bottom)), ink, mesh, outline, fills)


def five_millimetres(patches: Patches) -> Lattice | None:
    """The lattice of the page's 5 mm squares, whichever lines are the clearest.

    Thin lines have harmonics as clear as themselves: where lines a whole number of times coarser are as clear, or such
    as the found ones are the diagonals of, these are the grid. Lines five times coarser make what was found millimetres
    even where they are paler, and so does the number of squares where nothing else is there.
    """
    lattice = find(patches)
    if lattice is None:
        return None
    if lattice.clear_in(patches, lattice.diagonal()) > _CLEAR * lattice.height(patches, 1):
        lattice = follow(patches, across_first(lattice.diagonal().mean(0))) or lattice
    heights = {factor: lattice.height(patches, 1 / factor) for factor in _HARMONICS}
    least = max(_CLEAR * lattice.height(patches, 1), 0.7 * max(heights.values()), _LEAST_COARSE)
    harmonic = max((factor for factor, height in heights.items() if height > least), default=1)
    if harmonic > 1:
        lattice = _coarser(patches, lattice, harmonic)
    if harmonic != 5 and lattice.height(patches, 1 / 5) > max(0.2 * lattice.height(patches, 1), _LEAST_COARSE):
        lattice = _coarser(patches, lattice, 5)
    return lattice.divided(5) if np.ptp(lattice.squares, axis=0).max() > _MOST_SQUARES else lattice


def _coarser(patches: Patches, fine: Lattice, factor: int) -> Lattice:
    """The lattice of every `factor`-th line; without their phases where they cannot be followed themselves."""
    found = follow(patches, fine.waves.mean(0) / factor)
    if found is None or not 0.85 < found.period / (fine.period * factor) < 1.15 or found.share < 0.6 * fine.share:
        return fine.divided(factor)
    return found


def _area(corners: Array) -> float:
    """Of a polygon [n, 2] (shoelace formula)."""
    after = np.roll(corners, -1, 0)
    return float(abs((corners[:, 0] * after[:, 1] - corners[:, 1] * after[:, 0]).sum()) / 2)
