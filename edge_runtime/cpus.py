"""How many threads to compute with: the physical cores that this process may really use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(cpus: Path = _CPUS, quota: Path = _QUOTA) -> int:
    """Physical cores this process is allowed to run on, at least 1.

    Two hyper-threads of a core share its arithmetic units, so they count once; a container's CPU quota caps the
    number. cpus and quota are the kernel's files that say so; where they do not exist (macOS, Windows) logical CPUs
    count.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = {_core(cpus, cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota_cpus(quota)))


def _core(cpus: Path, cpu: int) -> tuple[str, str]:
    """Names the physical core a logical CPU belongs to."""
    topology = cpus / f"cpu{cpu}" / "topology"
    try:
        return (topology / "physical_package_id").read_text().strip(), (topology / "core_id").read_text().strip()
    except OSError:
        return "cpu", str(cpu)


def _quota_cpus(quota: Path) -> int:
    """CPUs that a cgroup v2 quota ("200000 100000" is two) leaves, rounded up; as good as unlimited without one."""
    try:
        limit, period = quota.read_text().split()
        return math.ceil(int(limit) / int(period))
    # "max" instead of a number, another cgroup version, or no cgroups: no quota to respect.
    except (OSError, ValueError):
        return 1 << 16
