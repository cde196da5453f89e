"""The run at a glance: every stage's loss and figures by epoch, and what naming each finding is worth, one picture
beside the CSV files it is drawn from."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distill.calibration import FINDINGS
from edge_runtime.files import replacing
from pulse.ecg.ptbxl import SUPERCLASSES

STAGES = ("tower", "decoder", "rounded")
# figure -> its title, and the value that is drawn as 1
_FIGURES = {"auc": ("AUC of probabilities", 1.0), "f1": ("F1", 100.0), "hamming": ("Hamming loss", 100.0)}
_LINES = ("-", "--", "-.", ":")


def draw_curves(out: Path) -> Path:
    """Write out/curves.png, one row a stage that has a CSV file: its loss, and its figures on the validation fold; last
    each finding's precision over its sensitivity, where they were measured."""
    logs = {stage: _rows(out / f"{stage}.csv") for stage in STAGES if (out / f"{stage}.csv").exists()}
    worth = _by_finding(out / FINDINGS) if (out / FINDINGS).exists() else {}
    count = len(logs) + bool(worth)
    figure = Figure(figsize=(10, 2.8 * count), layout="constrained")
    grid = figure.subplots(count, 2, squeeze=False)
    for (stage, rows), (left, right) in zip(logs.items(), grid[: len(logs)], strict=True):
        networks = _networks(rows)
        for part, line in zip(networks, cycle(_LINES), strict=False):
            epochs = [row["epoch"] for row in part]
            left.plot(epochs, [row["loss"] for row in part], f"C0{line}", marker="o", markersize=3)
            for k, (key, (title, whole)) in enumerate(_FIGURES.items()):
                values = [row[key] / whole for row in part]
                label = title if part is networks[0] else None  # its colour says the figure, its line the network
                right.plot(epochs, values, f"C{k}{line}", marker="o", markersize=3, label=label)
        several = f" of {len(networks)} networks" if len(networks) > 1 else ""
        left.set(title=f"{stage}: loss{several}", xlabel="epoch")
        right.set(title=f"{stage}: figures on the validation fold", xlabel="epoch", ylim=(0, 1))
        right.legend(fontsize="x-small")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if worth:
        _draw_worth(grid[-1], worth)
    with replacing(out / "curves.png") as aside:
        figure.savefig(aside, dpi=100)
    return out / "curves.png"


def _draw_worth(two: Sequence[Axes], worth: Mapping[str, list[tuple[float, float]]]) -> None:
    for axes, title, names in (
        (two[0], "superclasses", [name for name in worth if name in SUPERCLASSES]),
        (two[1], "other findings", [name for name in worth if name not in SUPERCLASSES]),
    ):
        for k, name in enumerate(names):
            axes.plot(*zip(*worth[name], strict=True), f"C{k}", label=name)
        axes.set(title=f"{title}: precision over sensitivity", xlabel="sensitivity", xlim=(0, 1), ylim=(0, 1))
        axes.legend(fontsize="x-small", ncols=2)


def _by_finding(path: Path) -> dict[str, list[tuple[float, float]]]:
    """(sensitivity, precision) of the points of each."""
    found: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["finding"], []).append((float(row["sensitivity"]), float(row["precision"])))
    return found


def _networks(rows: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """Several when the log numbers them in a column "part", where -1 is no epoch."""
    parts = sorted({int(row.get("part", 0)) for row in rows} - {-1})
    return [[row for row in rows if row.get("part", 0) == part] for part in parts]


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
