"""emulated://aarch64: the runtime's ARM wheels under QEMU. What it answers counts; how fast, says nothing.

Times, memory and energy are those of an emulator, so they are taken out; certificates get theirs with
`pulse-verify --emulated aarch64`. export.certificate.userland makes the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.devices.local import answer_of
from edge_runtime.errors import UserError
from export.certificate.userland import PROCESSORS, open_userland

# What of edge_runtime.measure's answer is a result.
RESULTS = ("prompt_positions", "image_positions", "tokens", "token_ids", "probabilities")


class Emulated:
    """See benchmarks.devices.Device."""

    evidence = "emulated"

    def __init__(self) -> None:
        self._userland = open_userland()

    def about(self) -> dict[str, Any]:
        about = self._userland.about
        return {
            "cpu": f"aarch64 {about['cpu']}, emulated",
            "emulator": about["qemu"]["version"],
            "python": about["python"],
            "packages": about["wheels"],
        }

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """Answer and probabilities, without the figures of speed. Raises UserError as the runtime does."""
        paths = [str(path.resolve()) for path in (bundle, picture)]
        found = answer_of(self._userland.run("-m", "edge_runtime.measure", *paths, *options))
        return {name: found[name] for name in RESULTS}

    def close(self) -> None:
        """Nothing is held."""


def open_device(address: str) -> Emulated:
    """What the registry calls."""
    processor = address.removeprefix("emulated://")
    if processor not in PROCESSORS:
        raise UserError(f"device {address}: {processor} cannot be emulated; use emulated://{PROCESSORS[0]}")
    return Emulated()
