"""A copy of the packages into which a test puts a stranger's files: the examples of the docs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_LINES = 60


@dataclass(frozen=True)
class House:
    folder: Path

    @classmethod
    def build(cls, folder: Path, packages: tuple[str, ...], added: Mapping[str, str]) -> House:
        """Copies of `packages` in `folder`; added: where in them each of docs/examples goes, by the example's name."""
        for name in packages:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name, place in added.items():
            example = ROOT / "docs" / "examples" / name
            assert len(example.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
            assert not (folder / place).exists()
            shutil.copy(example, folder / place)
        return cls(folder)

    def run(self, module: str, *argv: object) -> subprocess.CompletedProcess[str]:
        """`python -m module argv` in the copy."""
        return self._python("-m", module, *argv)

    def prints(self, module: str, *argv: object) -> str:
        """What a command of the copy prints; it must succeed."""
        return self._succeeds(self.run(module, *argv))

    def script(self, code: str, *argv: object) -> str:
        """What Python code prints in the copy; it must succeed."""
        return self._succeeds(self._python("-c", code, *argv))

    def _python(self, *argv: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        call = [sys.executable, *map(str, argv)]
        return subprocess.run(
            call, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def _succeeds(self, done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout
