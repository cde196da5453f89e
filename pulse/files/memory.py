"""Memory by the stage: its peaks, the limit a user sets, and giving back what mapped weight files hold.

Two figures, since they mean different things. Resident memory (VmHWM) counts the pages of mapped files too, which the
system takes back whenever it needs room; anonymous memory (RssAnon) is what the process alone holds.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import multiprocessing
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil

from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.measure import peak_bytes

T = TypeVar("T")
MEMORY = "memory.json"
BASE = 1_000_000_000  # torch and what comes with it, before any weight
_STATUS, _MAPS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/maps"), Path("/proc/self/clear_refs")
_SAMPLES = 0.02  # seconds between looks at anonymous memory, which has no high-water mark of its own
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class Peak:
    """Bytes at the highest point of a stage; anonymous: None where the system does not say."""

    resident: int
    anonymous: int | None
    seconds: float


@dataclass
class Meter:
    """Peaks of the stages of one run, by name, in their order."""

    peaks: dict[str, Peak] = field(default_factory=dict)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside, in this process. Stages must not overlap; one that fails is not recorded."""
        with contextlib.suppress(OSError):
            _CLEAR.write_text("5")  # Linux: the high-water mark starts anew
        done, seen, started, before = threading.Event(), [0], time.monotonic(), _children_peak()
        thread = threading.Thread(target=_watch, args=(done, seen), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        # A child shares what its parent alone holds, so its peak is one of the whole; that of earlier stages is not.
        highest = max(peak_bytes(), after if (after := _children_peak()) > before else 0)
        self.peaks[name] = Peak(highest, seen[0] or None, round(time.monotonic() - started, 1))

    def as_json(self) -> dict[str, Any]:
        return {
            "unit": "bytes",
            "stages": {
                name: {"peak_resident": peak.resident, "peak_anonymous": peak.anonymous, "seconds": peak.seconds}
                for name, peak in self.peaks.items()
            },
        }

    def write(self, folder: Path) -> None:
        """Write memory.json."""
        (folder / MEMORY).write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_text(self) -> str:
        """One line a stage."""
        return "\n".join(
            f"  {name:12} peak {peak.resident / 1e9:5.2f} GB resident"
            + ("" if peak.anonymous is None else f", {peak.anonymous / 1e9:5.2f} GB of it not from mapped files")
            + f"; {peak.seconds:.0f} s"
            for name, peak in self.peaks.items()
        )


def parse_size(text: str | None) -> int | None:
    """Bytes of "6GB", "512M" (powers of 1000) or "4GiB" (of 1024); None of None. Raises UserError for anything else."""
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) == 0:
        raise UserError(f"{text!r} is not a size; give one such as 6GB, 512MB or 4GiB")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** (1 + "KMGT".index(match[2].upper())))


def check_plan(plan: dict[str, int], limit: int | None) -> None:
    """plan: bytes that each stage is expected to take. Raises UserError naming the largest when it is over `limit`."""
    if limit is None or not plan:
        return
    stage = max(plan, key=lambda name: plan[name])
    if plan[stage] > limit:
        raise UserError(
            f"the stage {stage} takes about {plan[stage] / 1e9:.1f} GB, more than --max-memory {limit / 1e9:.1f} GB; "
            "raise it, or use a larger machine"
        )


def available() -> int:
    """Bytes that a program may take on this machine now."""
    return int(psutil.virtual_memory().available)


def in_child(function: Callable[[], T]) -> T:
    """function() in a forked process, for libraries that keep what they were given: its memory goes with the process.

    The result, or the exception in its place, must be picklable. One thread computes there, since OpenMP's do not
    survive a fork. Raises RuntimeError when the child dies without a word, as it does when it is out of memory, and
    CannotRunHere on Windows, which has no fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise CannotRunHere("this step forks a process, which Windows cannot; run it on Linux or macOS, or under WSL")
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)

    def run() -> None:
        import torch  # slow to import, and this file's sizes are wanted without it

        torch.set_num_threads(1)
        try:
            result: tuple[bool, Any] = (True, function())
        except Exception as error:
            result = (False, error)
        sending.send(result)

    child = context.Process(target=run)
    child.start()
    sending.close()
    try:
        done, result = receiving.recv()
    except EOFError:
        child.join()
        raise RuntimeError(f"a child process ended with {child.exitcode}; is there enough memory?") from None
    child.join()
    if not done:
        raise result
    found: T = result
    return found


def give_back() -> None:
    """Return memory that nothing uses any more to the system: what was traced refers to itself in circles, and glibc
    keeps freed blocks of some megabytes for later."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def release_mapped() -> None:
    """Take the pages of mapped safetensors files out of this process; whoever reads them again gets them again.

    Only on Linux, elsewhere nothing happens. No other thread may be closing such a file meanwhile.
    """
    if not _MAPS.exists():
        return
    libc = ctypes.PyDLL(None)  # holds Python's lock, so that nothing is unmapped between looking and asking
    for line in _MAPS.read_text().splitlines():
        if line.endswith(".safetensors"):
            start, end = (int(bound, 16) for bound in line.split(" ", 1)[0].split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


def _watch(done: threading.Event, seen: list[int]) -> None:
    while True:
        seen[0] = max(seen[0], _status("RssAnon"), *map(_anonymous_of, _children()))
        if done.wait(_SAMPLES):
            return


_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def _children_peak() -> int:
    """The highest of all children that have ended; 0 on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


def _children() -> list[str]:
    try:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    except OSError:
        return []


def _anonymous_of(child: str) -> int:
    return _status("RssAnon", Path(f"/proc/{child}/status"))


def _status(field_name: str, path: Path = _STATUS) -> int:
    """Bytes of a line of a process's status; 0 where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field_name + ":")), 0)
