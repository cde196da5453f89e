"""A small aarch64 Linux in a folder: Python, the runtime's own wheels, and QEMU to run them on another processor.

python -m export.certificate.userland [FOLDER] puts it together from Debian's and PyPI's packages, without root and
without touching what is installed. Wheels have the versions installed here, so that only the kernels differ.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import edge_runtime
from edge_runtime.errors import UserError
from pulse.files.folder import new_folder

PROCESSORS = ("aarch64",)
_ABOUT = "userland.json"
_MAKE = "make it with: python -m export.certificate.userland (Debian; downloads about 150 MB)"
# What QEMU imitates, and how Linux describes one such core (MIDR of r4p1): dot products in 8 bits, as phones from 2019
# on and all Jetson Orin have. QEMU 7 shows programs the host's /proc/cpuinfo, and ONNX Runtime's reader of ARM's
# crashes on another architecture's.
CPU = "cortex-a76"
_CORE = """processor\t: {index}
BogoMIPS\t: 100.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""


@dataclass(frozen=True)
class Userland:
    """A folder that set_up made. root: the Linux; site: the wheels, unpacked; about: versions of all that is in it."""

    folder: Path
    about: dict[str, Any]

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def site(self) -> Path:
        return self.folder / "site"

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run aarch64 Python with `argv` under QEMU. It sees this machine's files, and this project's modules."""
        ours = Path(edge_runtime.__file__).parents[1]
        environ = {
            "HOME": str(Path.home()),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{self.site}:{ours}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "ORT_DISABLE_TELEMETRY": "1",
        }
        command = [self.about["qemu"]["path"], "-cpu", CPU, "-L", str(self.root), str(self.root / "usr/bin/python3")]
        return subprocess.run([*command, *argv], env=environ, capture_output=True, text=True, check=False)


def default_folder() -> Path:
    """Where it is looked for when no folder is given."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "pulse-edge" / "aarch64"


def open_userland(folder: Path | None = None) -> Userland:
    """Raises UserError when it is not there or of other versions than this machine's."""
    folder = folder or default_folder()
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{folder}: holds no aarch64 userland; {_MAKE}") from None
    if about["wheels"] != runtime_versions():
        raise UserError(f"{folder}: its wheels are not of the versions that are installed here; {_MAKE}")
    return Userland(folder, about)


def set_up(folder: Path | None = None) -> Userland:
    """Make the userland, or do nothing where it is there already; a half-made one never is.

    Raises UserError on a system that is not Debian's, or when a package cannot be had.
    """
    folder = folder or default_folder()
    try:
        return open_userland(folder)
    except UserError:
        if (folder / _ABOUT).exists():  # of other versions
            shutil.rmtree(folder)
    for tool in ("apt-get", "dpkg", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UserError(f"an aarch64 userland is made of Debian's packages, and {tool} is not here; use Debian")
    with new_folder(folder) as part:
        qemu = _debian(part)
        cores = "".join(_CORE.format(index=index) for index in range(os.cpu_count() or 1))
        (part / "root/proc").mkdir(exist_ok=True)
        (part / "root/proc/cpuinfo").write_text(cores, encoding="utf-8")
        python = next((part / "root/usr/bin").glob("python3.[0-9]*")).name.removeprefix("python")
        _wheels(part / "site", python)
        # The folder is renamed when it is whole.
        path = str(folder / qemu.relative_to(part)) if qemu.is_relative_to(part) else str(qemu)
        version = _run([str(qemu), "--version"]).splitlines()[0]
        about = {"cpu": CPU, "python": python, "qemu": {"path": path, "version": version}, "wheels": runtime_versions()}
        (part / _ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return open_userland(folder)


def runtime_versions() -> dict[str, str]:
    """The runtime's requirements and the versions of them that are installed here."""
    needed = [line for line in metadata.requires("pulse-edge") or [] if "extra ==" not in line]
    names = [match[0] for line in needed if (match := re.match(r"[\w.-]+", line))]
    return {name: metadata.version(name) for name in names}


def _debian(part: Path) -> Path:
    """Unpack Python and what it needs into part/root; returns a QEMU, the system's own where it has one."""
    state, host = part / "apt", _run(["dpkg", "--print-architecture"]).strip()
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True)
    (state / "status").touch()  # nothing is installed: every dependency is fetched
    options = {
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "APT::Architecture": "arm64",
        "APT::Architectures::": "arm64",
        "APT::Sandbox::User": "",  # _apt cannot write to a user's folder
        "Acquire::Languages": "none",
        "Debug::NoLocking": "1",
    }
    apt = [
        "apt-get",
        "-qq",
        *(f"-o{name}={value}" for name, value in options.items()),
        f"-oAPT::Architectures::={host}",
    ]
    ours = next(filter(None, map(shutil.which, ("qemu-aarch64-static", "qemu-aarch64"))), None)
    packages = ["python3:arm64", "libstdc++6:arm64"] + ([] if ours else [f"qemu-user-static:{host}"])
    _run([*apt, "update"])
    _run([*apt, "install", "--yes", "--no-install-recommends", "--download-only", *packages])
    for archive in sorted((state / "archives").glob("*.deb")):
        if archive.name.startswith("qemu-user-static_"):
            _run(["dpkg-deb", "--extract", str(archive), str(part / "qemu")])
        else:
            _run(["dpkg-deb", "--extract", str(archive), str(part / "root")])
    shutil.rmtree(state)
    if not (part / "root/lib").exists():  # from Debian 13 on, where packages know /usr/lib alone
        (part / "root/lib").symlink_to("usr/lib")
    if ours:
        return Path(ours)
    qemu = part / "qemu-aarch64"
    (part / "qemu/usr/bin/qemu-aarch64-static").rename(qemu)
    shutil.rmtree(part / "qemu")  # dozens of other processors
    return qemu


def _wheels(site: Path, python: str) -> None:
    """Unpack the runtime's wheels, and what they need, for CPython `python` on aarch64 into `site`."""
    pins = [f"{name}=={version}" for name, version in runtime_versions().items()]
    # Debian 12 and later have glibc 2.36; wheels name the oldest that they run with.
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)]
    platforms.append("--platform=manylinux2014_aarch64")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    _run([*pip, "--only-binary=:all:", f"--python-version={python}", *platforms, f"--target={site}", *pins])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise UserError(f"{Path(command[0]).name}: {' '.join(reason) or f'status {done.returncode}'}; see to it first")
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Run the command; exit status 0 done, 2 wrong use."""
    try:
        made = set_up(Path(argv[0]) if argv else None)
    except UserError as error:
        print(f"export.certificate.userland: {error}", file=sys.stderr)
        return 2
    print(f"{made.folder}: Python {made.about['python']} for {CPU}, run by {made.about['qemu']['version']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
