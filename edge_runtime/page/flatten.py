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
_LEAST_COARSE = 10.0  # of a peak of coarse lines: traces reach 9 there
_MOST_SQUARES = 120  # of 5 mm across a page: more are millimetres
_MESH = 2  # squares between the nodes of the warp
_MARGIN = 3.0  # squares kept beyond the outermost patches' centres


@dataclass(frozen=True)
class FlatPage:
    """page: RGB, evenly lit, PX_PER_MM pixels a millimetre. ink: uint8 [h, w], the same in grey with its grid faded.

    px_per_mm: of the picture as it came, the median over the page. outline: pixels (x, y) [4, 2] of that picture under
    the page's corners, from the top left clockwise. turned: degrees by which the page lies turned clockwise. bent:
    squares of 5 mm, root mean square, by which its grid leaves that of a flat, upright page. fills: share of the
    picture that the page takes, 0 to 1. followed: share of the picture in which the grid was followed.
    """

    page: Image.Image
    ink: Array
    px_per_mm: float
    outline: Array
    turned: float
    bent: float
    fills: float
    followed: float


def flatten(picture: Image.Image) -> FlatPage | None:
    """The flat page in an RGB picture of any size; None where no grid is found."""
    scale = lattices.WORK / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    patches = lattices.cut(lattices.contrast(picture.resize(size, method, reducing_gap=2.0)))
    lattice = five_millimetres(patches)
    if lattice is None:
        return None
    surface = Surface.fit(lattice)
    low = np.floor(np.percentile(lattice.squares, 2, axis=0) - _MARGIN)
    high = np.ceil(np.percentile(lattice.squares, 98, axis=0) + _MARGIN)
    columns, rows = (high - low).astype(int).tolist()
    page = light.even(_warp(picture, surface, scale, low, columns, rows), CELL)
    grey = np.asarray(page.convert("L"))
    lines = light.straight_lines(grey, CELL)
    paper = area.paper(lines, CELL)
    left, top, right, bottom = (side * CELL for side in paper)
    ink = light.without(grey[top:bottom, left:right], lines[top:bottom, left:right])
    across, down = np.array(paper)[[0, 2]] + low[0], np.array(paper)[[1, 3]] + low[1]
    corners = np.array([(across[i], down[j]) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))])
    outline = surface.pixels(corners) / scale
    wave = np.median(lattice.waves[:, 0], axis=0)
    return FlatPage(
        page=page.crop((left, top, right, bottom)),
        ink=ink,
        px_per_mm=lattice.period / 5 / scale,
        outline=outline,
        turned=float(np.degrees(np.arctan2(wave[1], wave[0]))),
        bent=_bent(lattice),
        fills=min(1.0, _area(outline) / (picture.width * picture.height)),
        followed=lattice.share,
    )


def five_millimetres(patches: Patches) -> Lattice | None:
    """The lattice of the page's 5 mm squares, whichever lines are the clearest.

    Lines half as dense that are as clear make the clearest ones a harmonic; lines a fifth as dense make them
    millimetres, and so does their number where nothing else is there.
    """
    lattice = lattices.find(patches)
    if lattice is None:
        return None
    if lattice.height(patches, 1 / 2) > 0.6 * lattice.height(patches, 1):
        lattice = _coarser(patches, lattice, 2)
    elif lattice.height(patches, 1 / 5) > max(0.2 * lattice.height(patches, 1), _LEAST_COARSE):
        lattice = _coarser(patches, lattice, 5)
    return lattice.divided(5) if np.ptp(lattice.squares, axis=0).max() > _MOST_SQUARES else lattice


def _coarser(patches: Patches, fine: Lattice, factor: int) -> Lattice:
    """The lattice of every `factor`-th line; without their phases where they cannot be followed themselves."""
    found = lattices.follow(patches, fine.waves.mean(0) / factor)
    if found is None or not 0.85 < found.period / (fine.period * factor) < 1.15 or found.share < 0.6 * fine.share:
        return fine.divided(factor)
    return found


def _warp(picture: Image.Image, surface: Surface, scale: float, low: Array, columns: int, rows: int) -> Image.Image:
    """`rows` by `columns` squares from `low` on, CELL pixels each; white where the picture ends."""
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
    size = (columns * CELL, rows * CELL)
    return picture.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=(255, 255, 255))


def _bent(lattice: Lattice) -> float:
    """Squares, root mean square, between the lattice and an upright one of even squares."""
    miss = np.zeros(len(lattice.at))
    for at, squares in zip(lattice.at.T, lattice.squares.T, strict=True):
        miss += (squares - np.polyval(np.polyfit(at, squares, 1), at)) ** 2
    return float(np.sqrt(miss.mean()))


def _area(corners: Array) -> float:
    """Of a polygon [n, 2] (shoelace formula)."""
    after = np.roll(corners, -1, 0)
    return float(abs((corners[:, 0] * after[:, 1] - corners[:, 1] * after[:, 0]).sum()) / 2)
