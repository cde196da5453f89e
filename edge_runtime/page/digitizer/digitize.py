"""A flat page in, its signals out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.page import flatten, light
from edge_runtime.page.digitizer.arrangement import Arrangement, arrange
from edge_runtime.page.digitizer.beats import has_beats
from edge_runtime.page.digitizer.sheet import CELL, PX_PER_MM, sheet
from edge_runtime.page.digitizer.signals import MOST_LEFT, Signals, signals
from edge_runtime.page.digitizer.view import View, views
from edge_runtime.page.flatten import FlatPage
from edge_runtime.page.layouts import LAYOUTS
from edge_runtime.page.mesh import Mesh
from edge_runtime.page.slips import slips

Array = np.ndarray[Any, Any]
_LEAST_MM = 25.0  # of a page's shorter side


def of_photo(picture: Image.Image, flat: FlatPage, **known: Any) -> Signals | None:
    """The signals in an RGB picture whose page was found to lie as `flat`; known: as digitize takes it."""
    return digitize(*fine_page(picture, flat), **known)


def fine_page(picture: Image.Image, flat: FlatPage) -> tuple[Array, Array]:
    """The evenly lit page uint8 [h, w, 3] at PX_PER_MM, its creases taken out, and how surely each square has a grid.

    A model sees the smooth page instead: on real photographs the student reads this one no better.
    """
    mesh, sure = fine_mesh(flat)
    page = light.even(mesh.draw(picture, CELL), CELL)
    return page, np.where(mesh.inside(picture.width, picture.height), sure, 0.0)


def fine_mesh(flat: FlatPage) -> tuple[Mesh, Array]:
    """The page's mesh with its creases, a plane's where there are none; how surely each square [rows, columns] has a
    grid."""
    red, green, blue = np.moveaxis(np.asarray(flat.page), 2, 0)
    carried, sure = slips(np.minimum(np.minimum(red, green), blue), flatten.CELL)
    return flat.mesh.carried(carried).straightened(sure), sure


def digitize(page: Array, sure: Array, **known: Any) -> Signals | None:
    """The signals on an evenly lit flat page uint8 [h, w, 3], PX_PER_MM pixels a mm, whichever way up it lies.

    sure [rows, columns]: how surely each of its squares has a grid. known: as `named` takes it. None where no curves
    are seen, or no layout explains them.
    """
    return named(seen(page, sure), **known)


def seen(page: Array, sure: Array) -> list[View]:
    """The curves of such a page, the one and the other way up; none of a strip too narrow for leads."""
    return views(sheet(page, sure)) if min(page.shape[:2]) >= _LEAST_MM * PX_PER_MM else []


def named(
    found: Sequence[View],
    *,
    layout: str | None = None,
    mm_per_s: float | None = None,
    mm_per_mv: float | None = None,
) -> Signals | None:
    """The leads that the curves of a page are, in the view that the laws of limb leads fit best.

    layout: the name of one where it is known; mm_per_s, mm_per_mv: speed and gain where they are known. None where no
    layout explains them, and where the page would lie on its side without a heartbeat on it.
    """
    layouts = [LAYOUTS[layout]] if layout else list(LAYOUTS.values())
    best: tuple[Arrangement, View] | None = None
    for view in found:
        arranged = arrange(view.curves, view.lines, view.left, view.right, layouts)
        if arranged is not None and (best is None or arranged.cost < best[0].cost):
            best = arranged, view
    if best is None or (layout is None and best[0].remainder > MOST_LEFT):
        return None
    # Grid and print make curves across an upright page too, and curves without waves obey any law.
    if best[1].turns % 2 and not has_beats(best[1]):
        return None
    return signals(*best, mm_per_s, mm_per_mv)
