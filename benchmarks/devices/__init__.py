"""Where a bundle is measured: one interface, one file a kind of device, chosen by the scheme of its address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from edge_runtime.registry import Registry


class Device(Protocol):
    """evidence: what its figures are: measured, or emulated or simulated where only results count and never times."""

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


# Of each file: open_device(address), by the scheme of the address.
DEVICES: Registry[Callable[[str], Device]] = Registry("benchmarks.devices", "open_device", "device")


def open_device(address: str) -> Device:
    """The device at "local", or scheme://... Raises UserError when there is no such scheme, or nothing answers."""
    return DEVICES.load(address.split("://", 1)[0])(address)
