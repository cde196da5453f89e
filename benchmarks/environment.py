"""Where a figure was measured: without it a latency means nothing."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path

from edge_runtime.cpus import usable_cores
from edge_runtime.manifest import MANIFEST

PACKAGES = ("pulse-edge", "numpy", "onnxruntime", "pillow", "tokenizers", "opencv-python-headless")


def environment() -> dict[str, object]:
    """CPU, cores, load, operating system, and versions of the packages that matter."""
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def bundle_digest(folder: Path) -> str:
    """SHA-256 of the manifest, which holds the digest of every other file: the bundle's identity."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()
