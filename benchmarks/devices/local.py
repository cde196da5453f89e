"""This machine: each measurement is a fresh interpreter, as a user's command is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.subjects.environment import environment
from edge_runtime.errors import UserError


class Local:
    """See benchmarks.devices.Device."""

    evidence = "measured"

    def about(self) -> dict[str, Any]:
        return environment()

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """Raises UserError with the runtime's own line, RuntimeError when the interpreter died."""
        command = [sys.executable, "-m", "edge_runtime.measure", str(bundle), str(picture), *options]
        return answer_of(subprocess.run(command, capture_output=True, text=True, check=False))

    def close(self) -> None:
        """Nothing is held."""


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON that a finished edge_runtime.measure printed.

    Raises UserError with the line it wrote when it refused (status 2), RuntimeError when it failed otherwise.
    """
    if done.returncode == 2:
        raise UserError(done.stderr.strip().splitlines()[-1].removeprefix("edge_runtime.measure: "))
    if done.returncode:
        raise RuntimeError(f"the measured process ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def open_device(address: str) -> Local:
    """What the registry calls."""
    if address != "local":
        raise UserError(f"device {address}: this machine's address is local")
    return Local()
