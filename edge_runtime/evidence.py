"""What can be measured on the page itself, beside what a model says of it: the leads' signals, rate and intervals."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from PIL import Image

from edge_runtime import image
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.digitize import of_photo
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.flatten import find_grid, flatten
from edge_runtime.prefix import Picture
from edge_runtime.waves.intervals import Measurements, measure

_RATE = re.compile(r"\b(\d{2,3}) (?:beats per minute|bpm)", re.IGNORECASE)
_APART = 5.0  # beats a minute by which a model may differ from what was measured: it rounds to five
_PRINTED = {
    "rate_bpm": ("rate", "/min"),
    "pr_ms": ("PR", "ms"),
    "qrs_ms": ("QRS", "ms"),
    "qt_ms": ("QT", "ms"),
    "qtc_bazett_ms": ("QTc (Bazett)", "ms"),
    "qrs_axis_deg": ("QRS axis", "degrees"),
}


@dataclass(frozen=True)
class Evidence:
    """signals: what was read of the page, None where nothing was; why: then, in a few words. measurements: of them."""

    signals: Signals | None
    measurements: Measurements
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """The measurements, null where they cannot be had, and under "signals" how they were read; null, and "why",
        where none were. A lead of which nothing was read is not there."""
        return {"measurements": self.measurements.as_json(), "signals": about(self.signals), "why": self.why}

    def as_text(self) -> str:
        """One line."""
        found = self.measurements.as_json()
        parts = [f"{name} {found[key]} {unit}" for key, (name, unit) in _PRINTED.items() if found[key] is not None]
        said = [f"{name} assumed" for name, source in self._scales() if source == "assumed"]
        return (
            "measured: "
            + (", ".join(parts) or self.why or "nothing could be")
            + (f" ({', '.join(said)})" if said else "")
        )

    def _scales(self) -> list[tuple[str, str]]:
        s = self.signals
        if s is None:
            return []
        return [(f"{s.mm_per_s:g} mm/s", s.speed_from), (f"{s.mm_per_mv:g} mm/mV", s.gain_from)]

    def differs(self, text: str) -> str:
        """One line where a model's words name another rate than was measured, else ""."""
        said, rate = _RATE.search(text), self.measurements.rate_bpm
        if said is None or rate is None or abs(int(said[1]) - rate) <= _APART:
            return ""
        return f"the model said {said[1]} beats per minute; measured {rate:.0f}"


def about(signals: Signals | None) -> dict[str, Any] | None:
    """How the signals of a page were read, for JSON."""
    if signals is None:
        return None
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


def evidence(picture: Picture, page: int | None = None) -> Evidence:
    """What a picture of a page shows: a path, a file's bytes, a PIL image, or a uint8 array [H, W] or [H, W, 3].

    page: of a PDF or multi-page TIFF, from 1. Raises UserError as image.load does.
    """
    if isinstance(picture, str | os.PathLike | bytes):
        picture = image.load(picture, page)
    shown = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    shown = shown.convert("RGB")
    grid = find_grid(shown)
    if grid is None:
        return Evidence(None, Measurements(), "nothing, no grid was found")
    signals = of_photo(shown, flatten(shown, grid))
    if signals is None:
        return Evidence(None, Measurements(), "nothing, the leads could not be told")
    return Evidence(signals, measure(signals.mv, FS))
