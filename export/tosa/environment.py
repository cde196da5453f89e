"""The Python environment that Arm's packages have to themselves: where it is, and how it is made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import UserError
from export.certificate.userland import default_folder as userland_folder

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# Installed without what it asks for: coremltools, scikit-learn and the rest are for other backends.
EXECUTORCH = "executorch==1.5.1"
_STAMP = "pulse-edge.txt"
_MAKE = "python -m export.tosa --setup"


@dataclass(frozen=True)
class Environment:
    """A folder that set_up made."""

    folder: Path

    def run(self, script: Path, *argv: str | Path) -> None:
        """Run a script there, and let it see nothing of the environment here. Raises UserError when it fails, with the
        last line that it said."""
        _run("Arm's tools", [self.folder / "bin" / "python", "-I", script, *argv])


def default_folder() -> Path:
    """Where it is looked for when no folder is given."""
    return userland_folder().with_name("tosa")


def open_environment(folder: Path | None = None) -> Environment:
    """Raises UserError when it is not there, or was made for other versions than this project now pins."""
    folder = folder or default_folder()
    make = f"make it with: {_MAKE}" + ("" if folder == default_folder() else f" --environment {folder}")
    try:
        made_for = (folder / _STAMP).read_text(encoding="utf-8")
    except OSError:
        raise UserError(
            f"{folder}: holds no environment for Arm's TOSA tools; {make} (1.4 GB, more where pip's torch has CUDA)"
        ) from None
    if made_for != _pins():
        raise UserError(f"{folder}: was made for other versions of Arm's TOSA tools; {make}")
    return Environment(folder)


def set_up(folder: Path | None = None) -> Environment:
    """Make the environment, or do nothing where it is there already; a half-made one counts as none.

    Raises UserError for a folder that holds something else, and when a package cannot be had.
    """
    folder = folder or default_folder()
    try:
        return open_environment(folder)
    except UserError:
        if folder.exists() and not _is_ours(folder):
            raise UserError(f"{folder}: holds something else; give another --environment") from None
    _run("venv", [sys.executable, "-m", "venv", "--clear", folder])
    for what in (["-r", REQUIREMENTS], ["--no-deps", EXECUTORCH]):
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        _run("pip", [folder / "bin" / "python", *pip])
    (folder / _STAMP).write_text(_pins(), encoding="utf-8")
    return open_environment(folder)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and ((folder / "pyvenv.cfg").is_file() or not any(folder.iterdir()))


def _pins() -> str:
    return f"{REQUIREMENTS.read_text(encoding='utf-8')}{EXECUTORCH}\n"


def _run(name: str, command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()[-1]
        raise UserError(f"{name}: {said}; see to it first")
