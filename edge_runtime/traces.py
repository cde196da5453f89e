"""Where on the picture each lead, its curve and its waves lie: the evidence laid over what was photographed.

Signals are read from a flat page; its squares' places in the picture (page.mesh) carry each point back there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge_runtime.evidence import Evidence
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.arrangement import Placed
from edge_runtime.page.digitizer.digitize import fine_mesh
from edge_runtime.page.digitizer.sheet import CELL, PX_PER_MM
from edge_runtime.page.digitizer.signals import Signals
from edge_runtime.page.flatten import FlatPage
from edge_runtime.page.layouts import LAYOUTS
from edge_runtime.page.mesh import Mesh
from edge_runtime.waves.delineate import Wave

Array = np.ndarray[Any, Any]
_MARGIN_MM = 4.0  # kept above and below a curve


@dataclass(frozen=True)
class Mark:
    """A wave ("P", "QRS" or "T") on the picture: its part of the curve [n, 2], from its onset to its offset."""

    kind: str
    line: Array


@dataclass(frozen=True)
class Trace:
    """A lead on the picture; points are (x, y), 0 to 1 of its width and height from the top left.

    lead: as it is drawn, "-aVR" upside down. lines: its curve, each [n, 2], gaps between them. corners: [4, 2] of its
    place on the paper, around the curve.
    """

    lead: str
    lines: tuple[Array, ...]
    marks: tuple[Mark, ...]
    corners: Array

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of an upright rectangle around it."""
        (left, top), (right, bottom) = self.corners.min(0), self.corners.max(0)
        return float(left), float(top), float(right), float(bottom)

    def turned(self, quarters: int) -> Trace:
        """On the picture turned clockwise by so many quarter turns."""
        made = self
        for _ in range(quarters % 4):
            marks = tuple(Mark(mark.kind, _quarter(mark.line)) for mark in made.marks)
            lines = tuple(map(_quarter, made.lines))
            made = replace(made, lines=lines, marks=marks, corners=_quarter(made.corners))
        return made


def _quarter(points: Array) -> Array:
    return np.stack([1 - points[:, 1], points[:, 0]], 1)


def traces(found: Evidence) -> tuple[Trace, ...]:
    """The leads that were read, rhythm strips last; none where nothing was read, or how the page lies is not known."""
    if found.signals is None or found.flat is None:
        return ()
    return tuple(_traces(found.signals, found, _Way(found.flat, found.signals.turns, found.size)))


class _Way:
    """From the page that was read to the picture."""

    def __init__(self, flat: FlatPage, turns: int, size: tuple[int, int]) -> None:
        self._mesh, _ = fine_mesh(flat)  # as the digitizer read the page
        self._turns, self._size = turns, np.array(size, float)

    def __call__(self, columns: Array, rows: Array) -> Array:
        """Points [n, 2] of the picture, 0 to 1, under columns and rows [n] of pixels of the page as it was turned."""
        wide, high = self._mesh.columns * CELL, self._mesh.rows * CELL
        x, y = columns + 0.5, rows + 0.5  # of the pixels' middles
        if self._turns == 1:
            x, y = wide - y, x
        elif self._turns == 2:
            x, y = wide - x, high - y
        elif self._turns == 3:
            x, y = y, high - x
        return _at(self._mesh, x / CELL, y / CELL) / self._size


def _at(mesh: Mesh, across: Array, down: Array) -> Array:
    """Pixels [n, 2] under points of the page in squares, bilinear as Pillow draws a mesh; beyond its end it goes on."""
    i = np.clip(np.floor(across).astype(int), 0, mesh.columns - 1)
    j = np.clip(np.floor(down).astype(int), 0, mesh.rows - 1)
    p, q = (across - i)[:, None], (down - j)[:, None]
    top = mesh.at[j, i] * (1 - p) + mesh.at[j, i + 1] * p
    below = mesh.at[j + 1, i] * (1 - p) + mesh.at[j + 1, i + 1] * p
    made: Array = top * (1 - q) + below * q
    return made


def _traces(signals: Signals, found: Evidence, way: _Way) -> Iterator[Trace]:
    begin = min(lead.left for lead in signals.placed)
    together = LAYOUTS[signals.layout].simultaneous
    for lead in signals.placed:
        columns = np.arange(max(0, round(lead.left)), min(signals.curves.shape[1], round(lead.right)))
        curve = signals.curves[lead.row, columns]
        if not np.isfinite(curve).any():
            continue
        lines = tuple(way(columns[part], curve[part]) for part in _known(curve))
        seconds = 0.0 if together else (lead.left - begin) / (signals.mm_per_s * PX_PER_MM)
        waves = found.marks[LEADS.index(lead.lead.removeprefix("-"))]
        marks = tuple(_marks(waves, lead, seconds, signals, way))
        margin = _MARGIN_MM * PX_PER_MM
        top, bottom = float(np.nanmin(curve)) - margin, float(np.nanmax(curve)) + margin
        right = np.array([lead.left, lead.right, lead.right, lead.left])
        yield Trace(lead.lead, lines, marks, way(right, np.array([top, top, bottom, bottom])))


def _known(curve: Array) -> list[Array]:
    """The places of each stretch without a gap, two or more of them."""
    there = np.flatnonzero(np.isfinite(curve))
    parts = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)
    return [part for part in parts if len(part) > 1]


def _marks(waves: tuple[Wave, ...], lead: Placed, seconds: float, signals: Signals, way: _Way) -> Iterator[Mark]:
    """Of the waves that the lead shows whole in this place, which begins so many seconds after the page."""
    px_per_s = signals.mm_per_s * PX_PER_MM
    for wave in waves:
        first, last = (lead.left + (time - seconds) * px_per_s - 0.5 for time in (wave.onset, wave.offset))
        if first < lead.left - 1 or last > lead.right + 1:
            continue
        at = np.array([first, *np.arange(np.ceil(first), np.floor(last) + 1), last])
        at = np.clip(at, 0, signals.curves.shape[1] - 1)
        curve = signals.curves[lead.row]
        rows = np.interp(at, np.arange(len(curve)), curve)
        if np.isfinite(rows).all():
            yield Mark(wave.kind, way(at, rows))
