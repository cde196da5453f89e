"""What a Jetson tells of its power: tegrastats' log and nvpmodel's mode.

Formats: NVIDIA, Jetson Linux Developer Guide, "tegrastats Utility" and "Power Modes" (nvpmodel).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

# The rail of the whole module first: VDD_IN on Orin and Xavier NX, POM_5V_IN on Nano and TX2. AGX Orin has no such
# rail; there the parts are summed: GPU and SoC, CPU and its companion, and the 5 V that DRAM and the rest live on.
_WHOLE = ("VDD_IN", "POM_5V_IN")
_PARTS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
# NAME NOW/AVERAGE, in mW; the unit is not written before JetPack 5.
_POWER = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)(?:mW)?/(\d+)(?:mW)?(?![\w%(])")


def milliwatts(line: str) -> int | None:
    """The module's power now, by one line of tegrastats; None when it tells of no rail that we know."""
    rails = {name: int(now) for name, now, _ in _POWER.findall(line)}
    for name in _WHOLE:
        if name in rails:
            return rails[name]
    return sum(rails[name] for name in _PARTS) if all(name in rails for name in _PARTS) else None


def energy(log: str, interval_ms: int, warm_ms: Sequence[float]) -> dict[str, Any]:
    """joules of a warm reading, and power: the whole process's run_joules, mean_mw and samples; {} without samples.

    log: lines `interval_ms` apart, from the process's start to its end; their own time stamps count whole seconds only.
    warm_ms: how long each warm reading took. They come last, so the log's last lines are theirs.
    """
    samples = [now for line in log.splitlines() if (now := milliwatts(line)) is not None]
    if not samples:
        return {}
    mean = sum(samples) / len(samples)
    power = {"run_joules": mean * len(samples) * interval_ms / 1e6, "mean_mw": mean, "samples": len(samples)}
    if not warm_ms:
        return {"power": power}
    theirs = samples[-max(1, round(sum(warm_ms) / interval_ms)) :]
    return {"joules": sum(theirs) / len(theirs) * sum(warm_ms) / len(warm_ms) / 1e6, "power": power}


def power_mode(text: str) -> str | None:
    """The mode's name as `nvpmodel -q` tells it ("NV Power Mode: 15W"), None where it does not."""
    match = re.search(r"^NV Power Mode: *(\S+)", text, re.MULTILINE)
    return match[1] if match else None
