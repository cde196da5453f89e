"""Ten readings of one page on this very device, measured as edge_runtime.measure does: `--device app://FILE` of
pulse-bench puts the JSON into the project's reports.

The longest gap between two frames of the window belongs to it: it says whether the app stayed alive meanwhile.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

from PIL import Image

from demo_app.reader import Reader
from demo_app.worker import Job
from edge_runtime.measure import FIGURES, peak_bytes

RUNS = 10
ROWS = (
    *((figure, "tokens/s" if figure.endswith("per_s") else "ms") for figure in FIGURES),
    ("memory_mb", "MB"),
)
_PACKAGES = ("pulse-edge", "numpy", "onnxruntime", "pillow", "tokenizers", "kivy")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value with at least `percent` of all at or below it (nearest rank); raises ValueError if empty."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def measure(
    reader: Reader, page: Image.Image, job: Job, on_run: Callable[[int], None], runs: int = RUNS
) -> dict[str, Any]:
    """Read and answer `page` 1 + `runs` times: what edge_runtime.measure returns, and "memory_mb" after each run.

    import_ms is None: a window's start is not a command's. joules is None: phones have no counter that an app may read.
    """
    assert reader.loaded is not None
    cold, about = reader.measure(page, job)
    on_run(0)
    warm: dict[str, list[float]] = {name: [] for name in FIGURES}
    memory_mb = []
    for run in range(runs):
        took, _ = reader.measure(page, job)
        for name, values in warm.items():
            values.append(took[name])
        memory_mb.append(memory() / 1e6)
        on_run(run + 1)
    costs = {"import_ms": None, "open_ms": reader.loaded.load_ms, "peak_bytes": peak_bytes(), "joules": None}
    return {**costs, "cold": cold, "warm": warm, **about, "memory_mb": memory_mb}


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, nearest-rank p50 and p90, lowest and highest."""
    return {
        "median": statistics.median(values),
        "p50": percentile(values, 50),
        "p90": percentile(values, 90),
        "min": min(values),
        "max": max(values),
    }


def report(reader: Reader, measured: dict[str, Any], longest_frame_ms: float) -> dict[str, object]:
    """The JSON: where and what, all that was measured, its summary by row, the longest gap between two frames."""
    assert reader.loaded is not None
    columns = {**measured["warm"], "memory_mb": measured["memory_mb"]}
    return {
        "benchmark": "app",
        "environment": environment(),
        "bundle": {"name": reader.loaded.name, "target": reader.loaded.target, "sha256": reader.loaded.digest},
        "runs": len(measured["memory_mb"]),
        "measured": measured,
        "figures": {row: summary(values) for row, values in columns.items()},
        "longest_frame_ms": longest_frame_ms,
    }


def environment() -> dict[str, object]:
    """Where it was measured."""
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def memory() -> int:
    """Bytes of this process that are in memory now; its peak where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return peak_bytes()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
