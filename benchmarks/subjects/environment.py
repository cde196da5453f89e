"""Where a figure was measured: without it a latency means nothing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path

from edge_runtime.cpus import usable_cores
from edge_runtime.manifest import MANIFEST

PACKAGES = ("pulse-edge", "numpy", "onnxruntime", "executorch", "pillow", "tokenizers", "opencv-python-headless")


def environment(root: Path = Path("/")) -> dict[str, object]:
    """CPU, cores, clocks, temperature, load, operating system, and versions of the packages that matter.

    root: where /proc and /sys are looked for. None for what this machine does not tell; a virtual machine often has
    neither clocks nor thermometers.
    """
    return {
        "cpu": _cpu_name(root),
        "cores": usable_cores(),
        "memory_bytes": _memory(root),
        **clocks(root),
        "celsius": celsius(root),
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


def clocks(root: Path = Path("/")) -> dict[str, object]:
    """The first core's governor, and its present and highest clock in MHz (Linux cpufreq, which counts in kHz)."""
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    now, most = _number(folder / "scaling_cur_freq"), _number(folder / "cpuinfo_max_freq")
    return {
        "governor": _text(folder / "scaling_governor"),
        "mhz": None if now is None else now / 1000,
        "max_mhz": None if most is None else most / 1000,
    }


def celsius(root: Path = Path("/")) -> float | None:
    """The hottest thermal zone that tells (Linux thermal, which counts in thousandths of a degree)."""
    zones = [_number(zone / "temp") for zone in (root / "sys/class/thermal").glob("thermal_zone*")]
    told = [zone / 1000 for zone in zones if zone is not None]
    return max(told) if told else None


def _memory(root: Path) -> int | None:
    lines = (_text(root / "proc/meminfo") or "").splitlines()
    total = [line.split()[1] for line in lines if line.startswith("MemTotal:")]
    return 1024 * int(total[0]) if total else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:  # not there, or a sensor that is off
        return None


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text else None


def _cpu_name(root: Path) -> str:
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


if __name__ == "__main__":  # on a device, over ssh
    print(json.dumps(environment()))
