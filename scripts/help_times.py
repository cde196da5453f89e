"""How long `--help` of every command takes: the median of five fresh processes; status 1 when one is above a second."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from edge_runtime.commands import MODULES

RUNS, MOST_SECONDS = 5, 1.0


def seconds(python: str, command: str) -> float:
    """Median of what `command --help` takes with an interpreter. Raises CalledProcessError when it fails."""
    call = [python, "-m", "edge_runtime.commands", command, "--help"]
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main(python: str = sys.executable) -> int:
    """Print a line a command."""
    slow = 0
    for command in MODULES:
        taken = seconds(python, command)
        slow += taken > MOST_SECONDS
        print(f"{command:15} {taken:5.2f} s{'  above 1 s' if taken > MOST_SECONDS else ''}", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
