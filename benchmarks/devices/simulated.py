"""simulated://hexagon: a bundle on the vendor's own simulator of its chip. What it answers counts, its speed does not.

edge_runtime's engine for such bundles finds the simulator by itself; here its times, memory and energy are taken out.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.devices.emulated import RESULTS
from benchmarks.devices.local import answer_of
from edge_runtime.errors import UserError
from export.simulated import check_simulated, simulators

_READINGS = "0"  # warm ones: none is looked at


class Simulated:
    """See benchmarks.devices.Device."""

    evidence = "simulated"

    def __init__(self, name: str) -> None:
        self._name, self._by = name, check_simulated(name, ())

    def about(self) -> dict[str, Any]:
        return {"cpu": f"{self._name}: {self._by}"}

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """Answer and probabilities, without the figures of speed. Raises UserError as the runtime does."""
        asked = [*options, "--runs", _READINGS, "--simulated"]
        command = [sys.executable, "-m", "edge_runtime.measure", str(bundle), str(picture), *asked]
        found = answer_of(subprocess.run(command, capture_output=True, text=True, check=False))
        return {name: found[name] for name in RESULTS}

    def close(self) -> None:
        """Nothing is held."""


def open_device(address: str) -> Simulated:
    """What the registry calls."""
    name = address.removeprefix("simulated://")
    if name not in simulators():
        raise UserError(f"device {address}: no simulator of {name} is known; use simulated://{min(simulators())}")
    return Simulated(name)
