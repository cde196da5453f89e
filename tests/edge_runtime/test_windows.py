"""On Windows there is no fcntl, resource or termios: every module of ours loads without them."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import builtins, importlib, pkgutil, sys
from edge_runtime.errors import UserError

OURS = {"edge_runtime", "pulse", "quantize", "export", "distill", "benchmarks"}  # the app's own needs a window
known = builtins.__import__

def without(name, scope=None, *rest, **more):
    if name in ("fcntl", "resource", "termios") and (scope or {}).get("__name__", "").split(".")[0] in OURS:
        raise ImportError(f"No module named {name!r}, which {scope['__name__']} imports", name=name)
    return known(name, scope, *rest, **more)

builtins.__import__ = without
for package in sorted(OURS):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        try:
            importlib.import_module(module.name)
        except (UserError, ModuleNotFoundError) as error:
            if getattr(error, "name", None) in ("fcntl", "resource", "termios"):
                raise  # a package that is not installed here is another matter
"""


def test_every_module_loads_without_what_windows_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
