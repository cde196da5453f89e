"""The runtime goes on phones: it must load without anything of the training house, and load little until asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import edge_runtime

BLOCK = """
import importlib, pkgutil, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BANNED:
            raise ImportError(f"{name} is not on a phone")

BANNED = {banned}
sys.meta_path.insert(0, Wall())
import edge_runtime
"""
BANNED = [
    "torch", "onnx", "onnxscript", "cv2", "scipy", "transformers", "safetensors", "pandas", "matplotlib", "sklearn",
    "pulse", "quantize", "export", "distill", "benchmarks", "demo_app",
]  # fmt: skip


def python(code, banned):
    run = subprocess.run(
        [sys.executable, "-c", BLOCK.replace("{banned}", repr(banned)) + code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_every_module_loads_without_the_house():
    loaded = python(
        "names = [m.name for m in pkgutil.walk_packages(edge_runtime.__path__, 'edge_runtime.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(*names)",
        BANNED,
    )
    root = Path(edge_runtime.__path__[0])
    files = {path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")}
    modules = {".".join(path.parts).removesuffix(".__init__") for path in files}
    assert {*loaded, "edge_runtime"} == modules


def test_engines_and_pdf_reader_wait_until_needed():
    python("import edge_runtime.session, edge_runtime.ask", [*BANNED, "onnxruntime", "pypdfium2"])


def test_engine_that_is_not_installed_says_what_to_install():
    out = python(
        "from edge_runtime.errors import UserError\n"
        "try:\n    importlib.import_module('edge_runtime.engines.onnx')\n"
        "except UserError as error:\n    print(error)",
        [*BANNED, "onnxruntime"],
    )
    assert "pip install onnxruntime" in " ".join(out)


def test_onnx_runtime_leaves_no_identity_behind(tmp_path):
    """Left alone, it writes a device id into the user's cache when it is loaded, and reports to its maker."""
    kept = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    code = "import edge_runtime.engines.onnx, time; time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**kept, **home}, cwd=Path(__file__).parents[2])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
