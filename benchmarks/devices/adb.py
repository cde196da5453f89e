"""An Android phone at the end of a USB cable: adb://SERIAL, or adb:// where there is only one.

The phone needs nothing installed: export.certificate.userland's aarch64 Linux, the one that QEMU runs here, is pushed
to /data/local/tmp and started there by its own loader, as adb's shell user; Android's kernel runs glibc programs as
well. So the wheels that were emulated are the ones that are measured, on the phone's processor, without its
accelerators. Runtime and bundle stay on the phone for the next run.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edge_runtime
from benchmarks.devices._uploads import bundle_upload, picture_upload, source_digest
from benchmarks.devices.local import answer_of
from edge_runtime.errors import UserError
from export.certificate.userland import Userland, open_userland

_RUNTIME = Path(edge_runtime.__file__).parent
_FOLDER = "/data/local/tmp/pulse-edge"
_LOADER = "root/lib/ld-linux-aarch64.so.1"
_LIBRARIES = ("root/lib/aarch64-linux-gnu", "root/usr/lib/aarch64-linux-gnu")
# Android has no /etc/passwd to find a home in, and its own libraries must not be preloaded into glibc's programs.
_ENVIRONMENT = "unset LD_PRELOAD LD_LIBRARY_PATH; export HOME=. LC_ALL=C.UTF-8 ORT_DISABLE_TELEMETRY=1"


class Adb:
    """See benchmarks.devices.Device. Raises UserError in every method when the phone is gone or refuses."""

    evidence = "measured"

    def __init__(self, serial: str, userland: Userland, folder: str = _FOLDER) -> None:
        self._userland, self._folder = userland, folder
        self._adb = ["adb", *(["-s", serial] if serial else [])]
        self._name = f"adb://{serial}"
        state = self._run("get-state").strip()
        if state != "device":
            raise UserError(f"device {self._name}: adb says {state}; unlock it and allow USB debugging")
        self._shell(f"mkdir -p {folder}")

    def about(self) -> dict[str, Any]:
        """Model, Android, processor, cores, memory; and battery and thermal state, which decide its speed."""
        told = self._shell(
            "getprop ro.product.model; getprop ro.build.version.release; getprop ro.soc.model; nproc; "
            "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo"
        ).splitlines()
        model, android, soc, cores, governor = [*told, *[""] * 5][:5]
        memory = re.search(r"MemTotal: *(\d+) kB", self._shell("cat /proc/meminfo"))
        return {
            "model": model or None,
            "android": android or None,
            "cpu": soc or None,
            "cores": int(cores) if cores.isdecimal() else None,
            "governor": governor or None,
            "memory_bytes": 1024 * int(memory[1]) if memory else None,
            **battery(self._shell("dumpsys battery")),
            "thermal_status": thermal_status(self._shell("dumpsys thermalservice")),
            "packages": self._userland.about["wheels"],
        }

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """thermal_status_after: a phone that throttled while it was measured says so there."""
        linux, code = self._send_linux(), self._send(f"code/{source_digest()}", {"edge_runtime": _RUNTIME})
        page, there = picture_upload(picture), bundle_upload(bundle)
        self._send(page.name, {page.path.name: page.path})
        self._send(there.name, {".": there.path})
        libraries = ":".join(f"{linux}/{name}" for name in _LIBRARIES)
        python = f"{linux}/{_LOADER} --library-path {libraries} {linux}/root/usr/bin/python3"
        words = shlex.join(["-m", "edge_runtime.measure", there.name, f"{page.name}/{page.path.name}", *options])
        path = f"PYTHONHOME={linux}/root/usr PYTHONPATH={linux}/site:{code}"
        done = self._call("shell", f"cd {self._folder} && {_ENVIRONMENT} && {path} {python} {words}")
        # When the cable is pulled, adb itself may end well, with nothing said.
        if self._gone(done.stderr) if done.returncode else not done.stdout.strip():
            raise UserError(f"device {self._name}: the connection was lost; run again: what was pushed is kept")
        found = answer_of(done)
        return {**found, "thermal_status_after": thermal_status(self._shell("dumpsys thermalservice"))}

    def close(self) -> None:
        """What was pushed stays; no connection is held."""

    def _send_linux(self) -> str:
        """Python, its libraries and the wheels; the rest of Debian's packages is not needed."""
        about = json.dumps(self._userland.about, sort_keys=True)
        name = f"linux/{hashlib.sha256(about.encode()).hexdigest()[:16]}"
        root, parts = self._userland.root, ("lib", "usr/lib", "usr/bin/python3")
        return self._send(name, {**{f"root/{part}": root / part for part in parts}, "site": self._userland.site})

    def _send(self, name: str, files: Mapping[str, Path]) -> str:
        """Push `files` (path inside -> path here) as the folder `name` unless it is there; half of one never is."""
        target, part = f"{self._folder}/{name}", f"{self._folder}/{name}.partial"
        if self._shell(f"[ -e {target} ] && echo yes || true").strip():
            return name
        with tempfile.NamedTemporaryFile(suffix=".tar") as packed:
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for inside, path in files.items():
                    tar.add(path.resolve() if path.name == "python3" else path, inside, filter=_without_caches)
            packed.flush()
            self._shell(f"rm -rf {part} && mkdir -p {part}")
            try:
                self._run("push", packed.name, f"{part}.tar")
                self._shell(f"tar -x -f {part}.tar -C {part} && mv {part} {target}")
            finally:
                # What failed for want of room must not take the room from the next try.
                self._call("shell", f"rm -rf {part} {part}.tar")
        return name

    def _shell(self, command: str) -> str:
        return self._run("shell", command)

    def _run(self, *words: str) -> str:
        done = self._call(*words)
        if done.returncode:
            full = [line for line in (done.stdout + done.stderr).splitlines() if "No space left" in line]
            if full:
                raise UserError(f"device {self._name}: its storage is full ({full[0].strip()}); make room on it")
            raise UserError(f"device {self._name}: {_last(done)}; fix that and run again")
        return done.stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run([*self._adb, *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise UserError(f"device {self._name}: adb is not installed here; apt-get install adb") from None

    @staticmethod
    def _gone(stderr: str) -> bool:
        return any(sign in stderr for sign in ("not found", "offline", "closed", "no devices"))


def battery(text: str) -> dict[str, Any]:
    """battery_percent, battery_celsius and whether it is fed, as `dumpsys battery` tells; None for what it does not.

    Levels come with their scale, temperatures in tenths of a degree (android.os.BatteryManager).
    """
    told = dict(re.findall(r"^ *([A-Za-z ]+): (\S+)$", text, re.MULTILINE))
    level, scale, tenths = (told.get(name, "") for name in ("level", "scale", "temperature"))
    fed = [value == "true" for name, value in told.items() if name.endswith(" powered")]
    return {
        "battery_percent": 100 * int(level) / int(scale) if level.isdecimal() and scale.isdecimal() else None,
        "battery_celsius": int(tenths) / 10 if tenths.lstrip("-").isdecimal() else None,
        "battery_fed": any(fed) if fed else None,
    }


def thermal_status(text: str) -> int | None:
    """0 (none) to 6 (shutdown), as `dumpsys thermalservice` tells (android.os.PowerManager, Android 10 on)."""
    match = re.search(r"Thermal Status: (\d)", text)
    return int(match[1]) if match else None


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"status {done.returncode}"]
    return lines[-1].removeprefix("adb: ").removeprefix("error: ")


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in entry.name else entry


def open_device(address: str) -> Adb:
    """What the registry calls."""
    return Adb(address.removeprefix("adb://"), open_userland())
