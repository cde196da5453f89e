"""The commands as they are installed: which packages they run, what they say when one is missing, and how fast."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_runtime.commands import MODULES
from edge_runtime.extras import OF_COMMAND, PACKAGES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# What the base install brings, by the names that are imported.
BASE = {
    "PIL", "certifi", "charset_normalizer", "filelock", "flatbuffers", "fsspec", "google", "hf_xet", "huggingface_hub",
    "idna", "numpy", "onnxruntime", "packaging", "psutil", "pypdfium2", "pypdfium2_raw", "requests", "tokenizers",
    "tqdm", "typing_extensions", "urllib3", "yaml",
}  # fmt: skip
WALL = f"""
import sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

ALLOWED = {sorted(BASE | set(PACKAGES))!r}
sys.meta_path.insert(0, Wall())
"""
START = "import sys\nfrom edge_runtime.commands import start\nsys.exit(start(sys.argv.pop(1)))"


def python(code, *arguments, first=(), cwd=None):
    """Run code with our tree on the path, behind the folders `first`."""
    path = os.pathsep.join(str(folder) for folder in (*first, ROOT))
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "DISPLAY": ":99"},  # pulse-demo asks for a display before anything else
    )


def intruder(folder, distribution=None):
    """A package called `export` that is not ours, of a distribution if it has a name."""
    (folder / "export").mkdir(parents=True)
    (folder / "export/__init__.py").write_text("")
    if distribution:
        info = folder / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "RECORD").write_text("export/__init__.py,,\n")
    return folder


def test_every_console_script_is_a_function_of_commands():
    import edge_runtime.commands

    scripts = PROJECT["project"]["scripts"]
    assert set(scripts) == set(MODULES)
    for name, target in scripts.items():
        module, function = target.split(":")
        assert module == "edge_runtime.commands"
        assert name == f"pulse-{function}"
        assert callable(getattr(edge_runtime.commands, function))
    assert set(OF_COMMAND.values()) <= set(PROJECT["project"]["optional-dependencies"])
    assert set(PACKAGES) == {
        name.removesuffix("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    }


@pytest.mark.parametrize("name", sorted(MODULES))
def test_each_function_starts_its_own_command(name, monkeypatch):
    import edge_runtime.commands as commands

    started = []
    monkeypatch.setattr(commands, "start", lambda command: started.append(command) or 0)
    getattr(commands, name.removeprefix("pulse-"))()
    assert started == [name]


def test_a_package_of_the_same_name_is_found_out(tmp_path):
    other = intruder(tmp_path / "other")
    done = python(START, "pulse-ask", "--help", first=[other])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"pulse-ask: `import export` finds {other / 'export'} instead of the package of pulse-edge; "
        f"remove {other} from PYTHONPATH, or rename that folder\n"
    )


def test_the_distribution_that_takes_a_name_is_named(tmp_path):
    other = intruder(tmp_path / "site", "exporter")
    done = python(START, "pulse-export", "--help", first=[other])
    assert done.returncode == 2
    assert done.stderr.endswith(
        "it belongs to exporter: pip uninstall exporter, or give each an environment of its own\n"
    )
    assert done.stderr.count("\n") == 1


def test_a_package_that_is_gone_is_named(tmp_path):
    shutil.copytree(ROOT / "edge_runtime", tmp_path / "edge_runtime", ignore=shutil.ignore_patterns("nano"))
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", START, "pulse-ask", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"pulse-ask: the package pulse is missing beside edge_runtime in {tmp_path}; pip install --force-reinstall "
        "pulse-edge\n"
    )


@pytest.mark.parametrize(
    ("command", "arguments", "extra"),
    [
        ("pulse-export", ["pulse-nano", "--target", "onnx"], "export"),
        ("pulse-verify", ["BUNDLE"], "export"),
        ("pulse-quantize", ["MODEL"], "export"),
        ("pulse-instruct", ["DATA", "--out", "out"], "instruct"),
        ("pulse-distill", ["--data", "DATA"], "train"),
        ("pulse-bench", ["pages"], "bench"),
        ("pulse-demo", [], "demo"),
    ],
)
def test_with_the_base_install_alone_a_command_names_its_extra(command, arguments, extra, tmp_path):
    done = python(WALL + START, command, *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{command}: ")
    assert "not installed; pip install " in done.stderr
    assert f"pulse-edge[{extra}]" in done.stderr
    assert list(tmp_path.iterdir()) == []
