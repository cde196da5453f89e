"""Where the console scripts start. Another distribution, or a folder on PYTHONPATH, can take common names such as
`export`. Under a name that is ours alone, each command first makes sure that it finds our packages.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

from edge_runtime.commandline import run
from edge_runtime.errors import UserError
from edge_runtime.extras import DISTRIBUTION, PACKAGES

# Command -> the module whose main() it is.
MODULES = {
    "pulse-adapt": "edge_runtime.adapt",
    "pulse-ask": "edge_runtime.ask",
    "pulse-bench": "benchmarks.cli",
    "pulse-demo": "demo_app.cli",
    "pulse-distill": "distill.cli",
    "pulse-export": "export.cli",
    "pulse-instruct": "pulse.instruct.cli",
    "pulse-page": "pulse.ecg.page_cli",
    "pulse-quantize": "quantize.cli",
    "pulse-read": "pulse.archive.cli",
    "pulse-serve": "edge_runtime.serve.cli",
    "pulse-verify": "export.verify_cli",
}


def start(name: str) -> int:
    """Run a command by name and return its exit status: 2, with one line, where another package takes the place of one
    of ours or a package is missing."""
    return run(name, lambda: _start(name))


def _start(name: str) -> int:
    check_packages()
    status: int = importlib.import_module(MODULES[name]).main()
    return status


def check_packages() -> None:
    """Raises UserError when one of our packages would be imported from elsewhere than beside edge_runtime."""
    home = Path(__file__).resolve().parents[1]
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or not spec.origin:
            raise UserError(
                f"the package {package} is missing beside edge_runtime in {home}; pip install --force-reinstall "
                f"{DISTRIBUTION}"
            )
        folder = Path(spec.origin).resolve().parent
        if folder.parent != home:
            raise UserError(_culprit(package, folder))


def _culprit(package: str, folder: Path) -> str:
    what = f"`import {package}` finds {folder} instead of the package of {DISTRIBUTION}"
    owners = [owner for owner in _owners(package) if owner != DISTRIBUTION]
    if owners:
        return f"{what}; it belongs to {owners[0]}: pip uninstall {owners[0]}, or give each an environment of its own"
    return f"{what}; remove {folder.parent} from PYTHONPATH, or rename that folder"


def _owners(package: str) -> list[str]:
    from importlib import metadata  # slow to import, and only needed once something is wrong

    return sorted(set(metadata.packages_distributions().get(package, [])))


def adapt() -> int:
    """`pulse-adapt`."""
    return start("pulse-adapt")


def ask() -> int:
    """`pulse-ask`."""
    return start("pulse-ask")


def bench() -> int:
    """`pulse-bench`."""
    return start("pulse-bench")


def demo() -> int:
    """`pulse-demo`."""
    return start("pulse-demo")


def distill() -> int:
    """`pulse-distill`."""
    return start("pulse-distill")


def export() -> int:
    """`pulse-export`."""
    return start("pulse-export")


def instruct() -> int:
    """`pulse-instruct`."""
    return start("pulse-instruct")


def page() -> int:
    """`pulse-page`."""
    return start("pulse-page")


def quantize() -> int:
    """`pulse-quantize`."""
    return start("pulse-quantize")


def read() -> int:
    """`pulse-read`."""
    return start("pulse-read")


def serve() -> int:
    """`pulse-serve`."""
    return start("pulse-serve")


def verify() -> int:
    """`pulse-verify`."""
    return start("pulse-verify")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in MODULES:
        sys.exit(f"usage: python -m edge_runtime.commands {'|'.join(MODULES)} ...")
    sys.exit(start(sys.argv.pop(1)))
