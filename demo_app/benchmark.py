"""Ten readings of one page on this very device, measured as edge_runtime.measure does, so that reports can take them.

The longest gap between two frames of the window belongs to it: it says whether the app stayed alive meanwhile.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from importlib import metadata

from PIL import Image

from demo_app.reader import Reader
from demo_app.worker import Job
from edge_runtime.measure import FIGURES

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
) -> dict[str, list[float]]:
    """Read and answer `page` so often; {row: one value a run}. One run before is not counted."""
    columns: dict[str, list[float]] = {row: [] for row, _ in ROWS}
    for run in range(-1, runs):
        took = reader.measure(page, job) | {"memory_mb": memory() / 1e6}
        if run >= 0:
            for row, values in columns.items():
                values.append(took[row])
        on_run(run + 1)
    return columns


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, nearest-rank p50 and p90, lowest and highest."""
    return {
        "median": statistics.median(values),
        "p50": percentile(values, 50),
        "p90": percentile(values, 90),
        "min": min(values),
        "max": max(values),
    }


def report(reader: Reader, readings: dict[str, list[float]], longest_frame_ms: float) -> dict[str, object]:
    """The JSON: where and what, each reading ("warm", as in edge_runtime.measure), its summary, the longest gap."""
    assert reader.loaded is not None
    return {
        "benchmark": "app",
        "environment": environment(),
        "bundle": {"name": reader.loaded.name, "target": reader.loaded.target, "sha256": reader.loaded.digest},
        "runs": len(readings["memory_mb"]),
        "warm": readings,
        "figures": {row: summary(values) for row, values in readings.items()},
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
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
