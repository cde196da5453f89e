"""A device in one file: this machine at a lower priority, as beside a busy program; the address is nice://LEVEL.

Put it into benchmarks/devices/ as nice.py; then `pulse-bench latency BUNDLE --device nice://10` measures on it.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.devices.local import answer_of
from benchmarks.subjects.environment import environment
from edge_runtime.errors import UserError


class Nice:
    """See benchmarks.devices.Device."""

    evidence = "measured"

    def __init__(self, level):
        self._level = level

    def about(self):
        """What a result tells of the machine."""
        return {**environment(), "nice": self._level}

    def measure(self, bundle, picture, options):
        """A fresh process a reading, as a user's command is; a refusal comes back in the runtime's own line."""
        command = [sys.executable, "-m", "edge_runtime.measure", str(bundle), str(picture), *options]
        command = ["nice", "-n", str(self._level), *command]
        return answer_of(subprocess.run(command, capture_output=True, text=True, check=False))

    def close(self):
        """Nothing is held."""


def open_device(address):
    """What `--device nice://10` calls. Raises UserError for an address that is none."""
    level = address.removeprefix("nice://") or "10"
    if not level.isdecimal() or int(level) > 19:
        raise UserError(f"device {address}: is not nice://LEVEL; give a level from 0 to 19")
    return Nice(int(level))
