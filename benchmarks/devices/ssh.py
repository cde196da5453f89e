"""A Linux device at the other end of ssh, such as a Jetson: ssh://[USER@]HOST[:PORT][?OPTION=VALUE&...]

OpenSSH's own client does the talking, so keys, jump hosts and aliases are those of ~/.ssh/config. Bundle, picture and
a wheel of this project are copied into one folder there, each under its digest, so a second run copies nothing; the
measurement runs in a virtual environment in that folder.

Options: folder (on the device, .cache/pulse-edge), python (python3), engine (the package with ONNX Runtime in it,
onnxruntime), wheelhouse (a folder of wheels here, for a device that reaches no package index), config (for ssh -F).
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

from benchmarks.devices._jetson import energy, power_mode
from benchmarks.devices._uploads import (
    Upload,
    bundle_upload,
    install_script,
    picture_upload,
    runtime_wheel,
    source_digest,
    wheelhouse_upload,
)
from benchmarks.devices.local import answer_of
from edge_runtime.errors import UserError

OPTIONS = ("folder", "python", "engine", "wheelhouse", "config")
_LOST = 255  # ssh's own failures; everything else is the remote command's status
_TEGRASTATS_MS = 100
_MARK = "=== tegrastats ==="


class Ssh:
    """See benchmarks.devices.Device. Raises UserError in every method when the connection or the device fails."""

    evidence = "measured"

    def __init__(self, address: str) -> None:
        self._address = address.split("?")[0]
        parts = urlsplit(address)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise UserError(f"device {address}: option {unknown[0]} is not known; use {', '.join(OPTIONS)}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.path.strip("/"):
            raise UserError(f"device {address}: is not ssh://[USER@]HOST[:PORT]; write it so")
        self._target = f"{parts.username}@{host}" if parts.username else host
        self._folder = options.get("folder", ".cache/pulse-edge")
        self._python, self._engine = options.get("python", "python3"), options.get("engine", "onnxruntime")
        self._wheelhouse = Path(options["wheelhouse"]) if "wheelhouse" in options else None
        # BatchMode: a question would hang a benchmark. Alive: a cable pulled is noticed within half a minute.
        alive = ("BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3")
        self._ssh = ["ssh", "-T", *(f"-o{option}" for option in alive)]
        self._ssh += ["-F", options["config"]] if "config" in options else []
        self._ssh += ["-p", str(port)] if port else []
        self._venv = ""
        self._run(f"mkdir -p {shlex.quote(self._folder)}")

    def about(self) -> dict[str, Any]:
        """What benchmarks.subjects.environment reads there, and a Jetson's power mode."""
        told = answer_of(self._in_venv("-m benchmarks.subjects.environment"))
        return {**told, "power_mode": power_mode(self._run("command -v nvpmodel >/dev/null && nvpmodel -q || true"))}

    def measure(self, bundle: Path, picture: Path, options: Sequence[str]) -> dict[str, Any]:
        """joules and power are tegrastats', where it is there; see jetson.energy."""
        uploads = [bundle_upload(bundle), picture_upload(picture)]
        for upload in uploads:
            self._send(upload)
        there = " ".join(shlex.quote(upload.name) for upload in uploads)
        done = self._in_venv(f"-m edge_runtime.measure {there} {shlex.join(options)}", tegrastats=True)
        done.stdout, _, log = done.stdout.partition(_MARK)
        found = answer_of(done)
        return {**found, **energy(log, _TEGRASTATS_MS, found["warm"]["total_ms"])}

    def close(self) -> None:
        """What was copied stays there for the next run; no connection is held."""

    def _in_venv(self, arguments: str, tegrastats: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the device's Python in its folder; with tegrastats, its log follows _MARK on stdout."""
        self._install()
        command = f"{self._venv}/bin/python {arguments}"
        if tegrastats:
            command = (
                "log=$(mktemp); sampler=; if command -v tegrastats >/dev/null; then "
                f'tegrastats --interval {_TEGRASTATS_MS} >"$log" & sampler=$!; fi; '
                f'{command}; status=$?; if [ -n "$sampler" ]; then kill "$sampler"; fi; '
                f'echo {shlex.quote(_MARK)}; cat "$log"; rm -f "$log"; exit $status'
            )
        return self._call(f"cd {shlex.quote(self._folder)} && export ORT_DISABLE_TELEMETRY=1 && {{ {command}; }}")

    def _install(self) -> None:
        """A virtual environment for exactly this code and engine, made when it is not there yet."""
        if self._venv:
            return
        wheelhouse = wheelhouse_upload(self._wheelhouse) if self._wheelhouse else None
        choice = "\0".join([source_digest(), self._engine, self._python, wheelhouse.name if wheelhouse else ""])
        venv = f"venv-{hashlib.sha256(choice.encode()).hexdigest()[:16]}"
        if not self._there(f"{venv}/whole"):
            if wheelhouse is not None:
                self._send(wheelhouse)
            with runtime_wheel() as wheel:
                self._send(wheel)
                name = wheelhouse.name if wheelhouse else None
                script = install_script(venv, wheel.name, name, self._python, self._engine)
            self._run(f"cd {shlex.quote(self._folder)} && {script}")
        self._venv = venv

    def _there(self, name: str) -> bool:
        return self._run(f"cd {shlex.quote(self._folder)} && [ -e {shlex.quote(name)} ] && echo yes || true") != ""

    def _send(self, upload: Upload) -> None:
        """Copy a file or folder unless it is there; half a copy never is."""
        if self._there(upload.name):
            return
        folder, name = shlex.quote(self._folder), shlex.quote(upload.name)
        part = shlex.quote(upload.name + ".partial")
        top = shlex.quote(upload.path.name)
        unpack = f"rm -rf {part} && mkdir -p {part} && tar -x -f - -C {part} && mv {part}/{top} {name}"
        # What failed for want of room must not take the room from the next try.
        command = f"cd {folder} && {{ {unpack}; status=$?; rm -rf {part}; exit $status; }}"
        pack = ["tar", "-c", "-f", "-", "-C", str(upload.path.parent), upload.path.name]
        with subprocess.Popen(pack, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tar:
            self._run(command, tar.stdout)

    def _run(self, command: str, stdin: IO[bytes] | None = None) -> str:
        done = self._call(command, stdin)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            full = [line for line in lines if "No space left" in line]
            said = (full or lines)[-1]
            if full:
                raise UserError(f"device {self._address}: its disk is full ({said}); make room, or give ?folder=")
            raise UserError(f"device {self._address}: {said}; fix that there and run again")
        return done.stdout

    def _call(self, command: str, stdin: IO[bytes] | None = None) -> subprocess.CompletedProcess[str]:
        argv = [*self._ssh, self._target, f"sh -c {shlex.quote(command)}"]
        try:
            raw = subprocess.run(argv, stdin=stdin or subprocess.DEVNULL, capture_output=True, check=False)
        except FileNotFoundError:
            raise UserError(f"device {self._address}: ssh is not here; apt-get install openssh-client") from None
        out, err = raw.stdout.decode(errors="replace"), raw.stderr.decode(errors="replace")
        if raw.returncode == _LOST:
            raise UserError(f"device {self._address}: {self._why(err)}")
        return subprocess.CompletedProcess(raw.args, raw.returncode, out, err)

    def _why(self, stderr: str) -> str:
        """ssh's own failures in words that say what to do."""
        said = (stderr.strip().splitlines() or ["the connection ended"])[-1].strip()
        if "Host key verification failed" in stderr:
            return f"its host key is not known or has changed; log in once by hand (ssh {self._target}) and compare it"
        if "Permission denied" in stderr:
            return f"it refused the key ({said}); copy yours there with ssh-copy-id {self._target}"
        if any(sign in stderr for sign in ("closed by", "Broken pipe", "reset by peer", "not responding")):
            return f"the connection was lost ({said}); run again: what was copied is kept"
        return f"{said}; check the address, and that ssh {self._target} works by hand"


def open_device(address: str) -> Ssh:
    """What the registry calls."""
    return Ssh(address)
