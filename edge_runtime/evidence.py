"""What can be measured on the page itself, beside what a model says of it: the leads' signals, rate and intervals."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime import image
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.beats import has_beats
from edge_runtime.page.digitizer.digitize import fine_page, named, of_photo, seen
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.flatten import FlatPage, find_grid, flatten
from edge_runtime.page.lattice import WORK
from edge_runtime.page.mesh import Mesh
from edge_runtime.page.reading import Reading
from edge_runtime.prefix import Picture
from edge_runtime.recording import Recording
from edge_runtime.waves.delineate import Marks, delineate
from edge_runtime.waves.intervals import Measurements, measured

_PRINTED = {
    "rate_bpm": ("rate", "/min"),
    "pr_ms": ("PR", "ms"),
    "qrs_ms": ("QRS", "ms"),
    "qt_ms": ("QT", "ms"),
    "qtc_bazett_ms": ("QTc (Bazett)", "ms"),
    "qrs_axis_deg": ("QRS axis", "degrees"),
}
_VALUES = (*_PRINTED, "qtc_fridericia_ms")


@dataclass(frozen=True)
class Evidence:
    """signals: what was read of the page, None where nothing was; why: then, in a few words. measurements, and marks of
    each lead: of them. flat: how the page lies in the picture, size: that picture's."""

    signals: Signals | None
    measurements: Measurements
    why: str = ""
    marks: Marks = ()
    flat: FlatPage | None = field(default=None, repr=False)
    size: tuple[int, int] = (0, 0)

    @property
    def values(self) -> dict[str, float | None]:
        """What a text may speak of, None where it cannot be had; unrounded."""
        return {key: getattr(self.measurements, key) for key in _VALUES}

    def as_json(self, samples: bool = False) -> dict[str, Any]:
        """The measurements, null where they cannot be had, and under "signals" how they were read; null, and "why",
        where none were. samples: with "mv", each lead's in millivolts, null in its gaps. A lead of which nothing was
        read is not there."""
        read = None
        if self.signals is not None:
            read = about_signals(self.signals) | ({"mv": _samples(self.signals)} if samples else {})
        return {"measurements": self.measurements.as_json(), "signals": read, "why": self.why}

    def as_text(self) -> str:
        """One line."""
        return self.sentence().removesuffix(".").replace("Measured", "measured", 1)

    def sentence(self, without: Collection[str] = ()) -> str:
        """What was measured, without the keys that were told already; then what could not be, and what was assumed."""
        found = self.measurements.as_json()
        known = {key: f"{name} {found[key]} {unit}" for key, (name, unit) in _PRINTED.items() if found[key] is not None}
        if not known:
            return f"Measured: {self.why or 'nothing, no beats were found'}."
        told = ", ".join(words for key, words in known.items() if key not in without)
        absent = ", ".join(name for key, (name, _) in _PRINTED.items() if key not in known)
        parts = [told, f"not found: {absent}" if absent else "", self._assumed()]
        return f"Measured: {'; '.join(part for part in parts if part)}." if any(parts) else ""

    def _assumed(self) -> str:
        s = self.signals
        if s is None:
            return ""
        scales = ((f"{s.mm_per_s:g} mm/s", s.speed_from), (f"{s.mm_per_mv:g} mm/mV", s.gain_from))
        said = [f"{scale} assumed" for scale, source in scales if source == "assumed"]
        return ", ".join(said)


def about_signals(signals: Signals) -> dict[str, Any]:
    """How the signals of a page were read, for JSON."""
    return {
        "layout": signals.layout,
        "remainder": round(signals.remainder, 4),
        "turns": signals.turns,
        "mm_per_s": signals.mm_per_s,
        "mm_per_s_from": signals.speed_from,
        "mm_per_mv": signals.mm_per_mv,
        "mm_per_mv_from": signals.gain_from,
        "seconds": round(signals.mv.shape[1] / FS, 3),
        "samples_per_second": FS,
        "confidence": {lead: round(float(signals.confidence[LEADS.index(lead)]), 3) for lead in signals.read},
    }


def _samples(signals: Signals) -> dict[str, list[float | None]]:
    rows = ((lead, signals.mv[LEADS.index(lead)]) for lead in signals.read)
    return {lead: [None if np.isnan(v) else round(v, 3) for v in row.tolist()] for lead, row in rows}


def evidence(picture: Picture, page: int | None = None, reading: Reading | None = None) -> Evidence:
    """What a picture of a page shows: a path, a file's bytes, a PIL image, or a uint8 array [H, W] or [H, W, 3].

    page: of a PDF or multi-page TIFF, from 1. reading: what page.reading.read found in the same picture, at this size
    or a smaller one; without it its grid is looked for. Raises UserError as image.load does.
    """
    if isinstance(picture, str | os.PathLike | bytes):
        picture = image.load(picture, page)
    shown = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if shown.mode != "RGB":  # what is RGB already would be copied
        shown = shown.convert("RGB")
    shown.load()  # before two threads look at it
    flat = _flat(shown, reading)
    if flat is None:
        return Evidence(None, Measurements(), "nothing, no grid was found", size=shown.size)
    signals = of_photo(shown, flat)
    if signals is None:
        return untold(flat, shown.size)
    return of_signals(signals, flat, shown.size)


def untold(flat: FlatPage | None, size: tuple[int, int]) -> Evidence:
    """Of a page whose leads could not be told, which lies so in a picture of that size."""
    return Evidence(None, Measurements(), "nothing, the leads could not be told", flat=flat, size=size)


def of_signals(signals: Signals, flat: FlatPage | None = None, size: tuple[int, int] = (0, 0)) -> Evidence:
    """What is measured of signals that were read of a page that lies so in a picture of that size."""
    marks = delineate(signals.mv, FS)
    return Evidence(signals, measured(signals.mv, FS, marks), marks=marks, flat=flat, size=size)


def of_recording(recording: Recording) -> Evidence:
    """What is measured of a digital recording."""
    marks = delineate(recording.mv, recording.fs)
    return Evidence(None, measured(recording.mv, recording.fs, marks), "the leads are a recording's own", marks=marks)


@dataclass(frozen=True)
class ByLeads:
    """What the curves of a page tell of it. signals: its leads, None where the laws of limb leads name none. beatless:
    none was named, and the curves that lie across the page as it is show no heartbeats."""

    signals: Signals | None = None
    beatless: bool = False

    @property
    def turns(self) -> int:
        """Quarter turns to the right that bring the page upright; 0 where its leads do not tell."""
        return 0 if self.signals is None else -self.signals.turns % 4


def by_leads(picture: Image.Image, reading: Reading) -> ByLeads:
    """Of an RGB picture's page. reading: what was found in that picture."""
    flat = _flat(picture, reading)
    if flat is None:
        return ByLeads()
    views = seen(*fine_page(picture, flat))
    signals = named(views)
    if signals is not None:
        return ByLeads(signals)
    across = [view for view in views if view.turns % 2 == 0]
    return ByLeads(beatless=bool(across) and not any(map(has_beats, across)))


def _flat(picture: Image.Image, reading: Reading | None) -> FlatPage | None:
    """How the page lies in the picture, by what was found in a picture of it that may be smaller."""
    grid = find_grid(picture) if reading is None else reading.grid
    if grid is None:
        return None
    scale = WORK / max(picture.size)
    by = grid.scale / scale
    if by > 1 and grid.scale > 1:  # what was searched was smaller than what is: a larger picture shows more
        return _flat(picture, None)
    if reading is None or reading.flat is None:
        return flatten(picture, replace(grid, scale=scale))
    found = reading.flat
    return replace(found, mesh=Mesh(found.mesh.at * by), outline=found.outline * by)
