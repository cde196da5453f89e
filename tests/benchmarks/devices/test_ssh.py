"""ssh:// against a real OpenSSH server on loopback: the whole way, then everything that goes wrong on it.

tegrastats and nvpmodel are not here: small programs print what NVIDIA's guide says they print, which is the contract
of the parser. Their real selves are not_run.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.devices import open_device
from benchmarks.devices._jetson import energy, milliwatts, power_mode
from edge_runtime.errors import UserError

LINE = (
    "11-26-2026 10:00:00 RAM 2448/7620MB (lfb 3x4MB) SWAP 0/3810MB (cached 0MB) CPU [12%@1510,off,0%@1510] "
    "EMC_FREQ 2%@2133 GR3D_FREQ 0%@[305] cpu@48.3C tj@49.0C VDD_IN 5000mW/4900mW VDD_CPU_GPU_CV 900mW/850mW"
)


class Server:
    """sshd for one user, with keys and known_hosts of its own; its sessions have `tools` first in PATH."""

    def __init__(self, folder: Path, sshd: str) -> None:
        self.folder, self.tools = folder, folder / "tools"
        self.tools.mkdir()
        for name in ("host", "user", "stranger"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(key, check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        path = f"{self.tools}:{os.environ['PATH']}"
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f'PermitRootLogin yes\nSetEnv PATH="{path}"\n'
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
        self.process = subprocess.Popen(command, stderr=(folder / "log").open("w"))
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"sshd did not start: {(folder / 'log').read_text()}")
        public = (folder / "host.pub").read_text()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {public}")
        (folder / "nobody").write_text("")

    def address(self, key: str = "user", known: str = "known", **options: object) -> str:
        """ssh://... with a config that names the key and the known hosts."""
        config = self.folder / f"config-{key}-{known}"
        config.write_text(
            f"Host *\n  IdentityFile {self.folder}/{key}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.folder}/{known}\n  GlobalKnownHostsFile /dev/null\n"
        )
        words = {"folder": self.folder / "device", "python": sys.executable, "config": config, **options}
        return f"ssh://127.0.0.1:{self.port}?" + "&".join(f"{name}={value}" for name, value in words.items())

    def tool(self, name: str, script: str) -> Path:
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def sessions(self) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str, str], str]) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("ssh"), need("sshd", "openssh-server"))
    yield server
    server.process.terminate()
    server.process.wait()


@pytest.fixture(scope="module")
def device(server: Server):  # type: ignore[no-untyped-def]
    """Connected, and the runtime installed there from the package index, once."""
    device = open_device(server.address())
    device.about()
    return device


def test_measures_there_what_is_measured_here(device, server: Server, bundle: Path, page: Path) -> None:
    options = ["--runs", "1", "--threads", "1", "--max-new-tokens", "4"]
    here = open_device("local").measure(bundle, page, options)
    there = device.measure(bundle, page, options)
    assert device.evidence == "measured"
    assert there["token_ids"] == here["token_ids"]
    assert there.keys() == here.keys()  # no power where no counter is
    told = device.about()
    assert told["packages"]["pulse-edge"]
    assert told["power_mode"] is None
    venv = next((server.folder / "device").glob("venv-*"))
    assert (venv / "whole").is_file()
    assert not (server.folder / "device" / "bundles").joinpath("x.partial").exists()


def test_a_second_run_copies_nothing(device, server: Server, bundle: Path, page: Path) -> None:
    options = ["--runs", "1", "--threads", "1", "--max-new-tokens", "1"]
    device.measure(bundle, page, options)
    files = [
        path for path in (server.folder / "device").rglob("*") if path.is_file() and "__pycache__" not in str(path)
    ]
    before = {path: path.stat().st_ctime_ns for path in files}
    server.tool("tar", "echo nothing may be copied >&2; exit 1")
    try:
        again = open_device(server.address())
        again.measure(bundle, page, options)
    finally:
        (server.tools / "tar").unlink()
    assert {path: path.stat().st_ctime_ns for path in files} == before


def test_a_jetson_tells_power_and_mode(device, server: Server, bundle: Path, page: Path) -> None:
    server.tool(
        "tegrastats", f'[ "$1 $2" = "--interval 100" ] || exit 1\nwhile true; do echo "{LINE}"; sleep 0.1; done'
    )
    server.tool("nvpmodel", '[ "$1" = -q ] && printf "NV Power Mode: 15W\\n0\\n"')
    try:
        result = device.measure(bundle, page, ["--runs", "1", "--threads", "1", "--max-new-tokens", "1"])
        assert device.about()["power_mode"] == "15W"
    finally:
        for name in ("tegrastats", "nvpmodel"):
            (server.tools / name).unlink()
    power = result["power"]
    assert power["mean_mw"] == 5000
    assert power["samples"] >= 2
    assert power["run_joules"] == pytest.approx(5 * power["samples"] / 10)
    assert result["joules"] == pytest.approx(5 * result["warm"]["total_ms"][0] / 1e3)


def test_the_device_refuses_in_its_own_words(device, bundle: Path, page: Path) -> None:
    with pytest.raises(UserError, match="provider tensorrt is not here; this ONNX Runtime has cpu"):
        device.measure(bundle, page, ["--provider", "tensorrt"])


def test_a_lost_connection(device, server: Server, bundle: Path, page: Path) -> None:
    caught: list[BaseException] = []

    def long_run() -> None:
        try:
            device.measure(bundle, page, ["--runs", "5000", "--threads", "1"])
        except BaseException as error:
            caught.append(error)

    worker = threading.Thread(target=long_run)
    worker.start()
    measuring = ["pgrep", "-f", "^venv-.*edge_runtime.measure.* --runs 5000"]
    for _ in range(300):
        if subprocess.run(measuring, capture_output=True, check=False).stdout:
            break
        time.sleep(0.1)
    for pid in server.sessions():
        os.kill(pid, signal.SIGKILL)
    worker.join(60)
    for pid in subprocess.run(measuring, capture_output=True, text=True, check=False).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    assert len(caught) == 1
    assert isinstance(caught[0], UserError)
    assert "the connection was lost" in str(caught[0])
    assert device.measure(bundle, page, ["--runs", "1", "--max-new-tokens", "1"])["tokens"] == 1  # and it goes on


def test_a_full_disk_leaves_no_half_copy(server: Server, bundle: Path, page: Path, tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs root")
    try:
        with pytest.raises(
            UserError,
            match=r"[0-9]: its disk is full \(.*No space left on device\); make room",
        ) as caught:
            open_device(server.address(folder=tmp_path)).measure(bundle, page, [])
        assert "\n" not in str(caught.value)
        assert [path.name for path in (tmp_path / "bundles").iterdir()] == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_keys_and_hosts_that_are_not_known(server: Server) -> None:
    with pytest.raises(UserError, match=r"it refused the key .*Permission denied.* with ssh-copy-id 127\.0\.0\.1"):
        open_device(server.address(key="stranger"))
    with pytest.raises(UserError, match="its host key is not known or has changed; log in once by hand"):
        open_device(server.address(known="nobody"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    with pytest.raises(UserError, match="Connection refused; check the address"):
        open_device(f"ssh://127.0.0.1:{free}")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ssh://", r"is not ssh://\[USER@\]HOST"),
        ("ssh://host:many", r"is not ssh://\[USER@\]HOST"),
        ("ssh://host/path", r"is not ssh://\[USER@\]HOST"),
        ("ssh://host?colour=red", "option colour is not known; use folder, python, engine, wheelhouse, config"),
        (
            "telnet://host",
            "device 'telnet' is not one this version has; use one of adb, aihub, app",
        ),
    ],
)
def test_addresses_that_are_none(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_device(address)


def test_what_cannot_be_sent(server: Server, bundle: Path, page: Path, tmp_path: Path) -> None:
    device = open_device(server.address(wheelhouse=tmp_path))
    with pytest.raises(UserError, match=r"holds no manifest\.json, so it is no bundle"):
        device.measure(tmp_path, page, [])
    with pytest.raises(UserError, match="is no file; give a picture"):
        device.measure(bundle, tmp_path / "none.png", [])
    with pytest.raises(UserError, match="holds no wheels"):
        device.about()
    with pytest.raises(UserError, match=r"no-python there is none of 3\.11 or newer"):
        open_device(server.address(python="no-python")).about()


def test_lines_of_every_generation() -> None:
    """NVIDIA's formats: Orin NX and Nano, AGX Orin by its three rails, the first Nano without a unit."""
    assert milliwatts(LINE) == 5000
    agx = "RAM 5848/62801MB (lfb 9x4MB) VDD_GPU_SOC 3176mW/3100mW VDD_CPU_CV 794mW/790mW VIN_SYS_5V0 2922mW/2900mW"
    assert milliwatts(agx) == 3176 + 794 + 2922
    assert milliwatts("RAM 1480/3956MB (lfb 90x4MB) IRAM 0/252kB(lfb 252kB) POM_5V_IN 2532/2400 POM_5V_GPU 0/0") == 2532
    assert milliwatts("RAM 1480/3956MB SWAP 0/1978MB EMC_FREQ 0%@1600") is None
    # 1 s of loading at 5 W, then two readings of 100 ms at 7 W.
    log = "\n".join([LINE] * 10 + [LINE.replace("5000mW", "7000mW")] * 2)
    found = energy(f"{log}\ncut off VDD_", 100, [100.0, 100.0])
    assert found["joules"] == pytest.approx(0.7)
    assert found["power"]["run_joules"] == pytest.approx(5.0 + 1.4)
    assert energy("", 100, [1.0]) == {}
    assert "joules" not in energy(LINE, 100, [])
    assert power_mode("NV Power Mode: MAXN\n0\n") == "MAXN"
    assert power_mode("") is None
