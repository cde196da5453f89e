"""A photographed page's signals into a folder: WFDB, a table, what was measured, and a picture to check them by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS
from edge_runtime.page import light
from edge_runtime.page.digitizer.digitize import digitize
from edge_runtime.page.digitizer.drawn import draw
from edge_runtime.page.digitizer.sheet import CELL
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.flatten import FlatPage
from edge_runtime.waves.intervals import measure
from pulse.ecg.write import write_signals
from pulse.files.folder import new_folder

_UNKNOWN = (
    "no leads were read: their curves were not seen, or under no layout do they obey the laws of the limb leads; "
    "give a picture with all of the page, or its --layout"
)
_PRINTED = {
    "rate_bpm": ("rate", "/min"),
    "pr_ms": ("PR", "ms"),
    "qrs_ms": ("QRS", "ms"),
    "qt_ms": ("QT", "ms"),
    "qtc_bazett_ms": ("QTc (Bazett)", "ms"),
    "qrs_axis_deg": ("QRS axis", "degrees"),
}


def write(source: str, picture: Image.Image, flat: FlatPage | None, out: Path, **known: Any) -> dict[str, Any]:
    """The signals of `source`'s page into the new folder `out`; returns what signals.json holds. known: as
    edge_runtime.page.digitizer.digitize takes it.

    Raises UserError where no grid was found (flat is None), no leads were read, or out is there already.
    """
    if flat is None:
        raise UserError(
            f"{source}: no grid was found, so that nothing can be measured; photograph the page closer and flat"
        )
    page = np.asarray(light.even(flat.mesh.draw(picture, CELL), CELL))
    signals = digitize(page, flat.mesh.sure, **known)
    if signals is None:
        raise UserError(f"{source}: {_UNKNOWN}")
    about = as_json(source, signals)
    with new_folder(out) as part:
        write_signals(part, Path(source).stem, signals.mv, FS)
        draw(page, signals).save(part / "signals.png")
        (part / "signals.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return {"signals": str(out), **about}


def as_json(source: str, signals: Signals) -> dict[str, Any]:
    """What was read, and what of it was measured; a lead of which nothing was read is not there."""
    return {
        "source": Path(source).name,
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
        "measurements": measure(signals.mv, FS).as_json(),
    }


def as_text(about: dict[str, Any]) -> str:
    """For people to read."""
    assumed = [
        f"{name} of {about[key]:g} {unit}"
        for name, key, unit in (("a speed", "mm_per_s", "mm/s"), ("a gain", "mm_per_mv", "mm/mV"))
        if about[f"{key}_from"] == "assumed"
    ]
    said = f" ({' and '.join(assumed)} assumed: no mark says it)" if assumed else ""
    measured = [
        f"{name} {about['measurements'][key]} {unit}"
        for key, (name, unit) in _PRINTED.items()
        if about["measurements"][key] is not None
    ]
    return (
        f"{about['signals']}: {len(about['confidence'])} leads of a {about['layout']} page, "
        f"{about['mm_per_s']:g} mm/s, {about['mm_per_mv']:g} mm/mV{said}\n"
        f"measured: {', '.join(measured) or 'nothing could be'}"
    )
