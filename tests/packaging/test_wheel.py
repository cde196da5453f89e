"""The wheel as a stranger installs it: put into clean environments with each extra, and every command run there."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from edge_runtime.commands import MODULES
from edge_runtime.extras import OF_COMMAND, PACKAGES

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
# Not installed here: peers compiles llama.cpp, aihub holds protobuf back, and all and dev are sums of the others.
EXTRAS = ["ecg", "sign", "export", "instruct", "targets", "train", "bench", "demo", "serve", "archive"]
MOST_SECONDS = 1.0


def uv(*arguments):
    subprocess.run(["uv", *map(str, arguments)], check=True, env=clean())


def clean():
    """This process's environment without what would let the installed commands see the source tree."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV", "COV_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    tree = tmp_path_factory.mktemp("tree") / "pulse-edge"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():  # a file removed and not yet committed is listed too
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    uv("build", "--quiet", "--wheel", "--out-dir", out, tree)
    return next(out.glob("pulse_edge-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """extra (None: the base install) -> the folder of commands of an environment that holds nothing else."""
    made = {}

    def install(extra):
        if extra not in made:
            folder = tmp_path_factory.mktemp(extra or "base") / "venv"
            uv("venv", "--quiet", "--python", sys.executable, folder)
            what = f"pulse-edge[{extra}] @ {wheel.as_uri()}" if extra else wheel
            uv("pip", "install", "--quiet", "--python", folder, "--constraint", LOCK, what)
            made[extra] = folder / "bin"
        return made[extra]

    return install


@pytest.fixture
def run(tmp_path, installed):
    """Run a command of the environment with an extra, in an empty folder."""

    def start(extra, command, *arguments):
        call = [str(installed(extra) / command), *map(str, arguments)]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False, env=clean())

    return start


@pytest.fixture
def page(tmp_path):
    """An ECG page outside the project."""
    source = sorted((ROOT / "pulse/ecg/examples").glob("*.png"))[0]
    return shutil.copy(source, tmp_path / "page.png")


def test_the_wheel_holds_our_packages_the_bundle_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    needed = ("nano/manifest.json", "nano/certificate.json", "waves/delineator.npz")
    assert {*(f"edge_runtime/{name}" for name in needed), "pulse/nano/config.json"} <= set(names)
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    left_out = {name for name in tracked.splitlines() if (ROOT / name).is_file()} - set(names)
    assert left_out == set()


@pytest.mark.parametrize("command", sorted(MODULES))
def test_help_with_the_base_install_within_a_second(run, command):
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        done = run(None, command, "--help")
        taken.append(time.perf_counter() - start)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: {command} ")
    assert statistics.median(taken) <= MOST_SECONDS


def test_the_base_install_answers_a_page(run, page):
    done = run(None, "pulse-ask", "pulse-nano", page, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["text"]
    assert answer["is_ecg"] > 0.5
    assert answer["model"] == "pulse-nano"
    assert "not a medical device" in done.stderr.lower()


@pytest.mark.parametrize("command", sorted(OF_COMMAND))
def test_a_command_without_its_extra_says_which(run, command, page):
    arguments = {
        "pulse-bench": ["accuracy", "pulse-nano", "--task", "ptbxl-super", "--data", "."],
        "pulse-distill": ["--data", "."],
        "pulse-export": ["pulse-nano", "--target", "onnx"],
        "pulse-instruct": [".", "--out", "out"],
        "pulse-page": ["record.csv", "--out", "page.png"],
        "pulse-quantize": ["pulse-nano"],
        "pulse-read": ["nowhere", "--out", "out"],
        "pulse-serve": ["pulse-nano"],
        "pulse-verify": ["pulse-nano"],
    }
    done = run(None, command, *arguments.get(command, []))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"pip install 'pulse-edge[{OF_COMMAND[command]}]'" in done.stderr


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_help_with_each_extra(run, extra):
    for command in MODULES:
        done = run(extra, command, "--help")
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.parametrize(
    ("extra", "command", "arguments", "status", "said"),
    [
        ("sign", "pulse-ask", ["pulse-nano", "page.png", "--require-signature", "KEY"], 2, "KEY"),
        ("export", "pulse-export", ["pulse-nano", "--target", "onnx", "--out", "b"], 0, "pass"),
        ("export", "pulse-verify", ["pulse-nano"], 0, "pass"),
        ("export", "pulse-quantize", ["pulse-nano", "--scheme", "float16", "--out", "q"], 0, "MB"),
        ("targets", "pulse-export", ["pulse-nano", "--target", "coreml", "--out", "b"], 0, "pass"),
        ("instruct", "pulse-instruct", ["nowhere", "--out", "out"], 2, "nowhere"),
        ("train", "pulse-distill", ["--data", "nowhere"], 2, "nowhere"),
        ("bench", "pulse-bench", ["latency", "pulse-nano", "--rounds", "1", "--runs", "2"], 0, "ms"),
        ("bench", "pulse-bench", ["pages", "--rounds", "1"], 0, "matplotlib"),
        ("archive", "pulse-read", [".", "--out", "read", "--processes", "1"], 0, "pages"),
    ],
)
def test_an_extra_brings_what_its_commands_need(run, page, extra, command, arguments, status, said):
    done = run(extra, command, *arguments)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr
    assert "not installed" not in done.stderr


def test_the_server_has_what_it_runs_on(installed, tmp_path):
    python = installed("serve") / "python"
    code = "import edge_runtime.serve.app, uvicorn; print(uvicorn.__version__)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=clean())
    assert done.returncode == 0, done.stderr


def test_the_app_has_kivy(installed, tmp_path):
    """A window needs a display; that all of the app can be imported does not."""
    code = "import demo_app, kivy, plyer, cryptography; print(kivy.__version__)"
    python = installed("demo") / "python"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=clean())
    assert done.returncode == 0, done.stderr
