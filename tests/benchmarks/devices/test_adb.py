"""adb:// with the real adb client and server against a phone's side of the protocol (phone.py).

Pushing, unpacking, starting and what goes wrong run as they would; the pushed userland is made of this machine's own
loader and Python, since the phone's shell is this machine's. On a phone it is not_run here.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from phone import Phone

from benchmarks.devices import open_device
from benchmarks.devices.adb import Adb, battery, thermal_status
from edge_runtime.errors import UserError
from export.certificate.userland import Userland

BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: 2
  health: 2
  present: true
  level: 85
  scale: 100
  voltage: 4250
  temperature: 285
  technology: Li-ion
"""
THERMAL = "IsStatusOverride: false\nThermal Status: 1\nCached temperatures:\n"


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Callable[[str, str], str]) -> Iterator[Phone]:
    """Connected to an adb server of its own."""
    need("adb", "adb")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("HOME", str(tmp_path))  # adb's key
    (tmp_path / "tools").mkdir()
    phone = Phone(tmp_path / "tools")
    phone.tool("dumpsys", f'case "$1" in battery) echo "{BATTERY}";; thermalservice) echo "{THERMAL}";; esac')
    phone.tool("getprop", 'case "$1" in ro.product.model) echo "Phone 1";; ro.soc.model) echo SoC;; *) echo 15;; esac')
    subprocess.run(["adb", "start-server"], check=True, capture_output=True)
    subprocess.run(["adb", "connect", f"127.0.0.1:{phone.port}"], check=True, capture_output=True)
    yield phone
    subprocess.run(["adb", "kill-server"], check=True, capture_output=True)
    phone.unplug()


@pytest.fixture
def userland(tmp_path: Path) -> Userland:
    """This machine's loader, Python and packages, laid out as export.certificate.userland lays out Debian's."""
    folder = tmp_path / "userland"
    (folder / "root/usr/bin").mkdir(parents=True)
    (folder / "root/usr/lib").mkdir()
    (folder / "root/lib").mkdir()
    told = subprocess.run(["ldd", os.path.realpath(sys.executable)], capture_output=True, text=True, check=True).stdout
    loader = re.search(r"(/\S*/ld-linux\S*) ", told)
    assert loader
    (folder / "root/lib/ld-linux-aarch64.so.1").symlink_to(loader[1])
    (folder / "root/usr/bin/python3").symlink_to(os.path.realpath(sys.executable))
    standard = Path(sysconfig.get_path("stdlib"))
    (folder / "root/usr/lib" / standard.name).symlink_to(standard)
    (folder / "site").symlink_to(sysconfig.get_path("purelib"))
    return Userland(folder, {"wheels": {"numpy": "2"}})


@pytest.fixture
def device(phone: Phone, userland: Userland, tmp_path: Path) -> Adb:
    return Adb(f"127.0.0.1:{phone.port}", userland, str(tmp_path / "storage"))


def test_pushes_runs_and_pushes_no_second_time(device: Adb, phone: Phone, bundle: Path, page: Path) -> None:
    options = ["--runs", "1", "--threads", "1", "--max-new-tokens", "4"]
    here = open_device("local").measure(bundle, page, options)
    there = device.measure(bundle, page, options)
    assert device.evidence == "measured"
    assert there["token_ids"] == here["token_ids"]
    assert there["thermal_status_after"] == 1
    assert len(phone.pushed) == 4  # Linux, the runtime, the page, the bundle
    assert device.measure(bundle, page, options)["token_ids"] == here["token_ids"]
    assert len(phone.pushed) == 4
    with pytest.raises(UserError, match="provider qnn is not here"):
        device.measure(bundle, page, ["--provider", "qnn"])


def test_tells_model_battery_and_heat(device: Adb) -> None:
    told = device.about()
    assert (told["model"], told["android"], told["cpu"]) == ("Phone 1", "15", "SoC")
    assert (told["battery_percent"], told["battery_celsius"], told["battery_fed"]) == (85.0, 28.5, True)
    assert told["thermal_status"] == 1
    assert told["cores"] >= 1


def test_a_full_phone_keeps_no_half_copy(device: Adb, phone: Phone, bundle: Path, page: Path, tmp_path: Path) -> None:
    phone.full = True
    with pytest.raises(UserError, match=r"its storage is full \(.*No space left on device\); make room on it"):
        device.measure(bundle, page, [])
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == []


def test_unplugged_while_it_measures(device: Adb, phone: Phone, bundle: Path, page: Path) -> None:
    def pull() -> None:
        for _ in range(600):
            if any("--runs 4000" in command for command in phone.running.values()):
                break
            time.sleep(0.1)
        time.sleep(1)
        phone.unplug()

    puller = threading.Thread(target=pull)
    puller.start()
    with pytest.raises(UserError, match=r"^device adb://127\.0\.0\.1:\d+: the connection was lost; run") as caught:
        device.measure(bundle, page, ["--runs", "4000"])
    puller.join()
    assert "\n" not in str(caught.value)


def test_no_phone_at_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, userland: Userland, need: Callable[[str, str], str]
) -> None:
    need("adb", "adb")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        with pytest.raises(UserError, match="device adb://: no devices/emulators found; fix that and run again"):
            Adb("", userland)
        with pytest.raises(UserError, match="device adb://R5CT: device 'R5CT' not found"):
            Adb("R5CT", userland)
    finally:
        subprocess.run(["adb", "kill-server"], check=True, capture_output=True)


def test_what_android_does_not_tell_is_none() -> None:
    assert battery("") == {"battery_percent": None, "battery_celsius": None, "battery_fed": None}
    assert battery(BATTERY.replace("USB powered: true", "USB powered: false"))["battery_fed"] is False
    assert thermal_status("Can't find service: thermalservice") is None
