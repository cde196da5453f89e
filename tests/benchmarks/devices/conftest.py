"""A bundle to send to devices, and what is missing of the programs that reach them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from export.build import build_bundle
from quantize.source import checkpoint_folder

sys.path.insert(0, str(Path(__file__).parent))  # phone.py, under importlib mode

PAGE = Path(__file__).parents[3] / "pulse" / "ecg" / "examples" / "b-normal.png"


@pytest.fixture(scope="session")
def page() -> Path:
    return PAGE


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped student, exported; certified on one page to save time."""
    folder = tmp_path_factory.mktemp("devices") / "pulse-nano"
    return build_bundle(checkpoint_folder("pulse-nano"), "onnx", "int4", folder, [PAGE])[1]


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
