"""Ten readings of one page on this very device, in the shape of `pulse-bench ask`, so that the reports can take it in.

The longest gap between two frames of the window belongs to it: it says whether the app stayed alive meanwhile.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata

from PIL import Image

from demo_app.reader import Reader
from demo_app.worker import Job

RUNS = 10
ROWS = (
    ("first_token_ms", "ms"),
    ("preprocess_ms", "ms"),
    ("vision_ms", "ms"),
    ("prefill_ms", "ms"),
    ("decode_tokens_per_s", "tokens/s"),
    ("findings_ms", "ms"),
    ("memory_mb", "MB"),
)
_PACKAGES = ("pulse-edge", "numpy", "onnxruntime", "pillow", "tokenizers", "kivy")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value with at least `percent` of all at or below it (nearest rank); raises ValueError if empty."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def measure(reader: Reader, page: Image.Image, job: Job, on_run: Callable[[int], None], runs: int = RUNS) -> dict:
    """Read and answer `page` so often; {row: {"median", "p50", "p90", "min", "max"}}. One run before is not counted."""
    columns: dict[str, list[float]] = {row: [] for row, _ in ROWS}
    for run in range(-1, runs):
        reader.look(page, job)
        timing = reader.ask(None, job, lambda piece: None, anyway=True).timing
        started = time.perf_counter()
        reader.findings(job, lambda finding: None)
        took = {"findings_ms": 1e3 * (time.perf_counter() - started), "memory_mb": memory() / 1e6}
        if run >= 0:
            for row in columns:
                columns[row].append(took[row] if row in took else getattr(timing, row))
        on_run(run + 1)
    return {row: summary(values) for row, values in columns.items()}


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, nearest-rank p50 and p90, lowest and highest."""
    return {
        "median": statistics.median(values),
        "p50": percentile(values, 50),
        "p90": percentile(values, 90),
        "min": min(values),
        "max": max(values),
    }


def report(reader: Reader, figures: dict, longest_frame_ms: float, runs: int) -> dict[str, object]:
    """The JSON: the keys of `pulse-bench ask` (benchmark, environment, bundle, runs, figures) and the app's own."""
    assert reader.loaded is not None
    return {
        "benchmark": "app",
        "environment": environment(),
        "bundle": {"name": reader.loaded.name, "target": reader.loaded.target, "sha256": reader.loaded.digest},
        "runs": runs,
        "figures": figures,
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
