"""What travels to a device, each thing under its digest: what is there already need not be sent again."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.subjects.environment import bundle_digest
from edge_runtime.bundle import sha256_file
from edge_runtime.errors import UserError

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("edge_runtime", "benchmarks")  # measuring, and what a machine tells of itself
_DESCRIPTION = ("pyproject.toml", "README.md", "LICENSE", "NOTICE")


@dataclass(frozen=True)
class Upload:
    """A file or folder here, and its path in the device's folder, which names the content."""

    path: Path
    name: str


def bundle_upload(folder: Path) -> Upload:
    """Raises UserError when `folder` holds no bundle."""
    try:
        return Upload(folder.resolve(), f"bundles/{bundle_digest(folder)[:16]}")
    except OSError:
        raise UserError(f"{folder}: holds no manifest.json, so it is no bundle; give a pulse-export folder") from None


def picture_upload(path: Path) -> Upload:
    """Raises UserError when there is no such file."""
    if not path.is_file():
        raise UserError(f"{path}: is no file; give a picture of an ECG page")
    return Upload(path.resolve(), f"pictures/{sha256_file(path)[:16]}{path.suffix}")


def wheelhouse_upload(folder: Path) -> Upload:
    """Raises UserError when `folder` holds no wheels."""
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise UserError(f"wheelhouse {folder}: holds no wheels; fill it with pip download on a machine with an index")
    return Upload(folder.resolve(), f"wheels/{_digest((w.name, w) for w in wheels)}")


def source_digest() -> str:
    """Names the code that would run on the device."""
    files = [_ROOT / "pyproject.toml", *(p for name in _PACKAGES for p in sorted((_ROOT / name).rglob("*.py")))]
    return _digest((str(path.relative_to(_ROOT)), path) for path in files if path.is_file())


@contextmanager
def runtime_wheel() -> Iterator[Upload]:
    """A folder with one wheel of the device's part of this project, built from its source.

    Raises UserError when the source is not there, as after an install from a wheel, or cannot be built.
    """
    if not (_ROOT / "pyproject.toml").is_file():
        raise UserError(f"{_ROOT}: is not this project's source, of which a wheel is built; run from a checkout")
    with tempfile.TemporaryDirectory() as folder:
        # A copy, since setuptools leaves its build folder behind and packs what an earlier one left in it.
        source, out = Path(folder) / "source", Path(folder) / "wheel"
        source.mkdir()
        for name in _DESCRIPTION:
            shutil.copy(_ROOT / name, source)
        for name in _PACKAGES:
            shutil.copytree(_ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "-w", str(out), str(source)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"no wheel could be built: {done.stderr.strip().splitlines()[-1]}; see pip's message")
        yield Upload(out, f"wheels/{source_digest()}")


def requirements(engine: str) -> list[str]:
    """The runtime's requirements, with `engine` in the place of onnxruntime: vendors' builds have other names."""
    needed = [line for line in metadata.requires("pulse-edge") or [] if "extra ==" not in line]
    return [engine if re.match(r"onnxruntime\b", line) else line for line in needed]


def install_script(venv: str, wheel: str, wheelhouse: str | None, python: str, engine: str) -> str:
    """Shell commands that make the virtual environment `venv`, whole or not at all; paths are the device's."""
    pip = f"{venv}/bin/python -m pip install --quiet --disable-pip-version-check"
    index = f"--no-index --find-links {shlex.quote(wheelhouse)}" if wheelhouse else ""
    python, needed = shlex.quote(python), shlex.join(requirements(engine))
    old = f"{python} there is none of 3.11 or newer, which the runtime needs; install one and give ?python="
    return (
        f"{{ {python} -c 'import sys; sys.exit(sys.version_info < (3, 11))' || "
        f"{{ echo {shlex.quote(old)} >&2; exit 1; }}; }} && rm -rf {venv} && "
        f"{{ {python} -m venv {venv} && {pip} {index} {needed} && {pip} --no-deps --no-index {wheel}/*.whl && "
        f"touch {venv}/whole || {{ rm -rf {venv}; exit 1; }}; }}"
    )


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, path in files:
        digest.update(f"{name}\0{sha256_file(path)}\0".encode())
    return digest.hexdigest()[:16]
