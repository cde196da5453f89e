"""A photographed page's signals into a folder: WFDB, a table, what was measured, and a picture to check them by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from edge_runtime.errors import UserError
from edge_runtime.evidence import Evidence, of_signals
from edge_runtime.page.digitizer.digitize import digitize, fine_page
from edge_runtime.page.digitizer.drawn import draw
from edge_runtime.page.digitizer.signals import FS
from edge_runtime.page.flatten import FlatPage
from edge_runtime.signal_files import signal_files
from pulse.files.folder import new_folder

_UNKNOWN = (
    "no leads were read: their curves were not seen, or under no layout do they obey the laws of the limb leads; "
    "give a picture with all of the page, or its --layout"
)


def write(source: str, picture: Image.Image, flat: FlatPage | None, out: Path, **known: Any) -> Evidence:
    """The signals of `source`'s page into the new folder `out`. known: as page.digitizer.digitize takes it.

    Raises UserError where no grid was found (flat is None), no leads were read, or out is there already.
    """
    if flat is None:
        raise UserError(f"{source}: no grid was found, so nothing is measured; photograph the page closer and flat")
    page, sure = fine_page(picture, flat)
    signals = digitize(page, sure, **known)
    if signals is None:
        raise UserError(f"{source}: {_UNKNOWN}")
    found = of_signals(signals)
    with new_folder(out) as part:
        for name, data in signal_files(Path(source).stem, signals.mv, FS).items():
            (part / name).write_bytes(data)
        draw(page, signals).save(part / "signals.png")
        (part / "signals.json").write_text(json.dumps(as_json(source, found), indent=2) + "\n", encoding="utf-8")
    return found


def as_json(source: str, found: Evidence) -> dict[str, Any]:
    """What signals.json holds."""
    made = found.as_json()
    return {"source": Path(source).name, **made["signals"], "measurements": made["measurements"]}


def as_text(out: Path, found: Evidence) -> str:
    """For people to read."""
    assert found.signals is not None
    about = found.signals
    return (
        f"{out}: {len(about.read)} leads of a {about.layout} page, {about.mm_per_s:g} mm/s, {about.mm_per_mv:g} mm/mV\n"
        f"{found.as_text()}"
    )
