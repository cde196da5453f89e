"""The digitizer against records: drawn pages of every layout in turn, the same photographed, or one's own pictures."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.metrics.snr import nearness
from benchmarks.sample import SAMPLE, data_folder
from edge_runtime import image
from edge_runtime.errors import UserError
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.digitize import of_photo
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.flatten import find_grid, flatten
from edge_runtime.page.layouts import LAYOUTS
from pulse.ecg.paper.variety import drawn_page
from pulse.ecg.photo.scene.shoot import shoot
from pulse.ecg.ptbxl import PtbXl
from pulse.ecg.read import read_record
from pulse.ecg.record import Record

_DPI = 200.0
_CAMERA = (4000, 3000)  # pixels of a phone of 12 megapixels
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
_RIGHT = 0.8  # correlation with the record's lead of a name that is right

Row = dict[str, Any]


def drawn(limit: int, scene: int | None) -> list[Row]:
    """One row a page: layouts in turn, the project's records in turn, photographed where a scene's seed is given."""
    rows = []
    with data_folder(SAMPLE) as folder:
        database = PtbXl(folder)
        ids, names = database.ids(), list(LAYOUTS)
        for number in tqdm(range(limit), "digitize"):
            record, layout = database[ids[number % len(ids)]], names[number % len(names)]
            page = drawn_page(record, None, layout, number, _DPI)
            picture = page.image
            if scene is not None:
                picture = shoot(picture, page.px_per_mm, np.random.default_rng([scene, number]), _CAMERA).image
            rows.append({"page": f"{record.name} {layout}", "kind": layout, **score(Image.fromarray(picture), record)})
    return rows


def pictures(folder: Path, limit: int) -> list[Row]:
    """One row a picture of a folder that has a record beside it. Raises UserError where there is none."""
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in _PICTURES)
    files = [file for file in files if file.with_suffix(".hea").exists()][:limit]
    if not files:
        raise UserError(f"{folder}: holds no picture with its record beside it; give NAME.jpg and NAME.hea")
    return [
        {"page": file.name, "kind": "pictures", **score(image.load(file), read_record(file.with_suffix(".hea")))}
        for file in tqdm(files, "digitize")
    ]


def score(picture: Image.Image, record: Record) -> Row:
    """Of one page: layout found, decibels and correlation of each lead, milliseconds of the whole reading."""
    started = time.perf_counter()
    grid = find_grid(picture)
    signals = None if grid is None else of_photo(picture, flatten(picture, grid))
    row: Row = {"reading_ms": round(1e3 * (time.perf_counter() - started), 1), "layout": None}
    near = {lead: _near(record, signals, lead) for lead in LEADS}
    row["snr"] = {lead: round(found[0], 2) for lead, found in near.items()}
    row["correlation"] = {lead: found[1] and round(found[1], 4) for lead, found in near.items()}
    return row | ({} if signals is None else {"layout": signals.layout, "mm_per_s": signals.mm_per_s})


def _near(record: Record, signals: Signals | None, lead: str) -> tuple[float, float | None]:
    if signals is None:
        return 0.0, None
    return nearness(record.lead(lead), record.fs, signals.mv[LEADS.index(lead)].astype(float), FS)


def figures(rows: list[Row]) -> dict[str, Any]:
    """By layout, and of all."""
    kinds = {"all": rows, **{kind: [row for row in rows if row["kind"] == kind] for kind in {r["kind"] for r in rows}}}
    return {name: _summary(some) for name, some in sorted(kinds.items(), key=lambda item: item[0] != "all")}


def _summary(rows: list[Row]) -> dict[str, Any]:
    snr = [value for row in rows for value in row["snr"].values()]
    likeness = [value for row in rows for value in row["correlation"].values()]
    read = [value for value in likeness if value is not None]
    return {
        "pages": len(rows),
        "leads_read": len(read) / len(likeness),
        "leads_right": sum(value > _RIGHT for value in read) / len(likeness),
        "snr_median": statistics.median(snr),
        "snr_tenth": float(np.percentile(snr, 10)),
        "correlation_median": statistics.median(read) if read else None,
        "reading_ms": statistics.median(row["reading_ms"] for row in rows),
    }


def as_text(figures: dict[str, Any]) -> str:
    columns = f"{'leads read':>12}{'right':>8}{'SNR':>9}{'lowest 10 %':>13}{'correlation':>13}{'reading':>10}"
    lines = [f"{'pages':25}{columns}"]
    for name, row in figures.items():
        alike = "-" if row["correlation_median"] is None else f"{row['correlation_median']:.3f}"
        lines.append(
            f"{name:20}{row['pages']:5}{100 * row['leads_read']:10.1f} %{100 * row['leads_right']:6.1f} %"
            f"{row['snr_median']:6.1f} dB{row['snr_tenth']:10.1f} dB{alike:>13}{row['reading_ms']:7.0f} ms"
        )
    note = (
        "SNR: medians over leads, as PhysioNet's Challenge 2024 defines it; right: correlates with the lead of its name"
    )
    return "\n".join([*lines, note])
