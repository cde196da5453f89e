"""Which lead each curve is: the layout under which the laws of the limb leads hold.

No text is read. Three simultaneous limb leads have two degrees of freedom (Einthoven's and Goldberger's laws), so that
a layout that names them wrongly leaves a remainder; a rhythm strip repeats, where both stand over each other, the lead
that it is of. What remains, as a share of what could, is how wrong a layout is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.leads import OF_I_AND_II
from edge_runtime.page.digitizer.sheet import PX_PER_MM
from edge_runtime.page.layout import Layout

Array = np.ndarray[Any, Any]
_GUARD = 0.03  # of a column's width, at both its ends: a bar, or a name
_UNEVEN = 0.5  # of the usual distance between rows
_UNUSED = 0.15  # a row of the page that a layout has no lead for
_UNTESTED = 0.5  # what a layout counts as of which nothing can be tested
_TOGETHER = 0.6  # correlation of the beats of columns that show the same seconds


@dataclass(frozen=True)
class Placed:
    """A lead in a row: name (with "-" where it is drawn upside down), row, first and last column."""

    lead: str
    row: int
    left: float
    right: float


@dataclass(frozen=True)
class Arrangement:
    """layout, where its leads are, those of the rhythm strips last, the remainder: 0 where every law holds, and how
    many rows of the page are left without a lead."""

    layout: Layout
    placed: tuple[Placed, ...]
    remainder: float
    unused: int

    @property
    def cost(self) -> float:
        """What arrangements are chosen by."""
        return self.remainder + _UNUSED * self.unused


def arrange(curves: Array, lines: Array, left: float, right: float, layouts: Iterable[Layout]) -> Arrangement | None:
    """The layout that explains curves float64 [r, w] between two columns the best; lines: the rows' lines [r].

    None where no layout has as few rows.
    """
    found = [arrangement for layout in layouts for arrangement in _all(curves, lines, left, right, layout)]
    return min(found, key=lambda arrangement: arrangement.cost, default=None)


def _all(curves: Array, lines: Array, left: float, right: float, layout: Layout) -> Iterator[Arrangement]:
    needed = len(layout.rows) + len(layout.rhythm)
    for first in range(len(curves) - needed + 1):
        apart = np.diff(lines[first : first + needed])
        if len(apart) and np.abs(apart / np.median(apart) - 1).max() > _UNEVEN:
            continue
        placed = tuple(_placed(layout, first, left, right))
        yield Arrangement(layout, placed, _remainder(curves, placed, layout), len(curves) - needed)


def _placed(layout: Layout, first: int, left: float, right: float) -> Iterator[Placed]:
    for row, leads in enumerate([*layout.rows, *((lead,) for lead in layout.rhythm)]):
        width = (right - left) / len(leads)
        for column, lead in enumerate(leads):
            yield Placed(lead, first + row, left + column * width, left + (column + 1) * width)


def _remainder(curves: Array, placed: Sequence[Placed], layout: Layout) -> float:
    tests = [*_limb_laws(curves, placed), *_repeats(curves, placed, layout)]
    left_over, could = (sum(values) for values in zip(*tests, strict=True)) if tests else (0.0, 0.0)
    if could <= 0:
        return _UNTESTED
    beats = None if layout.rhythm else _coincidence(curves, placed, layout)
    return left_over / could + (0.0 if beats is None or layout.simultaneous == (beats > _TOGETHER) else 0.2)


def _limb_laws(curves: Array, placed: Sequence[Placed]) -> Iterator[tuple[float, float]]:
    """Of each column: power that is left over when its limb leads are put down to I and II, and what could be left."""
    for left in sorted({lead.left for lead in placed}):
        limbs = [lead for lead in placed if lead.left == left and lead.lead.lstrip("-") in OF_I_AND_II]
        right = min((lead.right for lead in limbs), default=0.0)
        own = [lead for lead in limbs if lead.right == right]
        if len(own) < 3:
            continue
        values = np.stack([_values(curves, lead) for lead in own])
        values = values[:, np.isfinite(values).all(0)]
        if values.shape[1] < 10 * PX_PER_MM:
            continue
        values = values - np.median(values, axis=1, keepdims=True)
        system = np.array([OF_I_AND_II[lead.lead.lstrip("-")] for lead in own])
        system *= np.array([[-1.0] if lead.lead.startswith("-") else [1.0] for lead in own])
        rest = values - system @ (np.linalg.pinv(system) @ values)
        yield float((rest**2).sum()), float((values**2).sum()) * (len(own) - 2) / len(own)


def _repeats(curves: Array, placed: Sequence[Placed], layout: Layout) -> Iterator[tuple[float, float]]:
    """Of each rhythm strip: power of its difference from the lead that it is of, and the power of both."""
    strips = placed[len(placed) - len(layout.rhythm) :] if layout.rhythm else ()
    for strip in strips:
        short = next((lead for lead in placed if lead.lead == strip.lead and lead is not strip), None)
        if short is None:
            continue
        long = _values(curves, Placed(strip.lead, strip.row, short.left, short.right))
        own = _values(curves, short)
        both = np.isfinite(long) & np.isfinite(own)
        if both.sum() < 10 * PX_PER_MM:
            continue
        a, b = (values[both] - np.median(values[both]) for values in (own, long))
        yield float(((a - b) ** 2).sum()), float((a**2).sum() + (b**2).sum())


def _coincidence(curves: Array, placed: Sequence[Placed], layout: Layout) -> float | None:
    """Correlation of when the columns' curves are steep: 1 where all show the same beats. None with one column."""
    columns: dict[float, list[Array]] = {}
    for lead in placed[: len(placed) - len(layout.rhythm)]:
        values = _values(curves, lead)
        if not np.isfinite(values).any():
            return None
        steep = np.abs(np.diff(np.nan_to_num(values - np.nanmedian(values))))
        columns.setdefault(lead.left, []).append(np.minimum(steep, PX_PER_MM))
    if len(columns) < 2:
        return None
    length = min(len(steep) for rows in columns.values() for steep in rows)
    smooth = np.ones(PX_PER_MM) / PX_PER_MM
    beats = [np.convolve(np.sum([steep[:length] for steep in rows], 0), smooth, "same") for rows in columns.values()]
    likeness = np.corrcoef(beats)
    return float(np.nan_to_num(likeness)[~np.eye(len(beats), dtype=bool)].mean())


def _values(curves: Array, lead: Placed) -> Array:
    """The lead's stretch of its row, without its ends."""
    guard = _GUARD * (lead.right - lead.left)
    first, last = round(max(0.0, lead.left + guard)), round(lead.right - guard)
    return curves[lead.row, first : max(first + 2, last)]
