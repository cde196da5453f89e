"""A page to send to devices, and what is missing of the programs that reach them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # phone.py, under importlib mode

PAGE = Path(__file__).parents[3] / "pulse" / "ecg" / "examples" / "b-normal.png"


@pytest.fixture(scope="session")
def page() -> Path:
    return PAGE


@pytest.fixture(scope="session")
def need() -> Callable[[str, str], str]:
    """need(program, package): the program's path; without it the test is skipped, or fails where CI is set."""

    def find(program: str, package: str) -> str:
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if path is None:
            why = f"{program} is not installed; as root: apt-get install {package}"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        return path

    return find
