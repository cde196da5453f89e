"""The page reader against the truth: which millimetre of the paper each pixel of a simulated photograph shows.

The project's sample records, drawn as pages of every family in turn, photographed on desks by pulse.ecg.photo.scene. A
flat page is as true as the distances on it: what is measured is how far places lie from where they should once the
whole page was shifted and turned by quarters to fit best, as neither matters here.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from benchmarks.sample import SAMPLE, data_folder
from benchmarks.task import SCENE_DPI
from edge_runtime.page.flatten import find_grid
from edge_runtime.page.surface import Surface
from pulse.ecg.paper.variety import drawn_page, families
from pulse.ecg.photo.scene.shoot import Shot, shoot
from pulse.ecg.ptbxl import PtbXl

GOOD_MM, USABLE_MM = 2.0, 4.0
_PLACES = 600
_EDGE_MM = 4.0  # of the paper that is not asked about: half a square at its rim

Row = dict[str, Any]


def measure(limit: int, seed: int) -> list[Row]:
    """One row a picture, the same for the same seed: family, filled (share of the picture), and where a grid was found
    rms_mm, median_mm, scale (found over true, 1 is right) and reading_ms."""
    rows = []
    with data_folder(SAMPLE) as folder:
        database = PtbXl(folder)
        ids = database.ids()
        for number in tqdm(range(limit), "flatten"):
            family = list(families())[number % len(families())]
            page = drawn_page(database[ids[number % len(ids)]], family, None, number, SCENE_DPI)
            shot = shoot(page.image, page.px_per_mm, np.random.default_rng([seed, number]))
            rows.append({"family": family, **score(shot)})
    return rows


def score(shot: Shot) -> Row:
    """Of one picture; without rms_mm and the like where no grid was found."""
    on_paper = ((shot.places > _EDGE_MM) & (shot.places < np.array(shot.paper) - _EDGE_MM)).all(-1)
    row: Row = {"filled": round(float(on_paper.mean()), 3)}
    picture = Image.fromarray(shot.image)
    started = time.perf_counter()
    grid = find_grid(picture)
    row["reading_ms"] = round(1e3 * (time.perf_counter() - started), 1)
    if grid is None or not on_paper.any():
        return row
    down, across = np.nonzero(on_paper)
    some = np.random.default_rng(0).permutation(len(down))[:_PLACES]
    down, across = down[some], across[some]
    size = np.array(shot.image.shape[1::-1]) / shot.places.shape[1::-1]
    pixels = (np.stack([across, down], -1) + 0.5) * size
    found = 5 * Surface.fit(grid.lattice).squares(pixels * grid.scale)
    return {**row, **_apart(found, shot.places[down, across])}


def _apart(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """mm [n, 2] each: how far apart they are when quarter turns and shifts are left to fit."""
    quarter = np.array([[0, -1], [1, 0]])
    best: dict[str, float] = {}
    for turns in range(4):
        turned = found @ np.linalg.matrix_power(quarter, turns).T
        miss = turned - true
        away = np.hypot(*(miss - np.median(miss, 0)).T)
        rms = float(np.sqrt((away**2).mean()))
        if not best or rms < best["rms_mm"]:
            scale = float(np.sqrt(turned.var(0).sum() / true.var(0).sum()))
            best = {"rms_mm": rms, "median_mm": float(np.median(away)), "scale": scale}
    return {name: round(value, 3) for name, value in best.items()}


def figures(rows: list[Row]) -> dict[str, Any]:
    """By family, and of all."""
    kinds = {"all": rows, **{name: [row for row in rows if row["family"] == name] for name in families()}}
    return {name: _summary(some) for name, some in kinds.items() if some}


def _summary(rows: list[Row]) -> dict[str, Any]:
    found = [row for row in rows if "rms_mm" in row]
    return {
        "pictures": len(rows),
        "found": len(found) / len(rows),
        "good": sum(row["rms_mm"] <= GOOD_MM for row in found) / len(rows),
        "usable": sum(row["rms_mm"] <= USABLE_MM for row in found) / len(rows),
        "scale_within_3_percent": sum(abs(row["scale"] - 1) <= 0.03 for row in found) / len(rows),
        "median_mm": statistics.median(row["median_mm"] for row in found) if found else None,
        "reading_ms": statistics.median(row["reading_ms"] for row in rows),
    }


def as_text(figures: dict[str, Any]) -> str:
    head = (
        f"{'pages':14}{'pictures':>9}{'found':>8}{f'<= {GOOD_MM:.0f} mm':>9}{f'<= {USABLE_MM:.0f} mm':>9}"
        f"{'scale +-3 %':>13}{'median':>9}{'search':>9}"
    )
    lines = [head]
    for name, row in figures.items():
        shares = "".join(
            f"{100 * row[key]:{width - 2}.0f} %"
            for key, width in (("found", 8), ("good", 9), ("usable", 9), ("scale_within_3_percent", 13))
        )
        median = "-" if row["median_mm"] is None else f"{row['median_mm']:.1f} mm"
        lines.append(f"{name:14}{row['pictures']:9}{shares}{median:>9}{row['reading_ms']:6.0f} ms")
    return "\n".join([*lines, "mm: root mean square of how far the page's places lie from where they should"])
