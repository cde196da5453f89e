"""Where a bundle is measured: one interface, one file a kind of device, chosen by the scheme of its address."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from edge_runtime.errors import UserError

# Scheme of the address: module with an `open_device(address)`.
KINDS = {
    "local": "benchmarks.devices.local",
    "ssh": "benchmarks.devices.ssh",
    "adb": "benchmarks.devices.adb",
    "aihub": "benchmarks.devices.aihub",
    "emulated": "benchmarks.devices.emulated",
    "app": "benchmarks.devices.app",
}


class Device(Protocol):
    """evidence: what its figures are: measured, or emulated where only results count and never times."""

    evidence: str

    def about(self) -> dict[str, Any]:
        """Processor, clocks, power mode, temperature, versions; None where it cannot be read."""
        ...

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """What edge_runtime.measure prints in a fresh process there. Raises UserError when the device refuses."""
        ...

    def close(self) -> None:
        """Give back what it holds: connections, and files on it that are not worth keeping."""
        ...


def open_device(address: str) -> Device:
    """The device at "local", or scheme://... Raises UserError when there is no such scheme, or nothing answers."""
    scheme = address.split("://", 1)[0]
    if scheme not in KINDS:
        raise UserError(f"device {address}: {scheme} is not known; use one of {', '.join(KINDS)}")
    device: Device = importlib.import_module(KINDS[scheme]).open_device(address)
    return device
