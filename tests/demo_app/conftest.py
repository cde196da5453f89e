from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # hands.py and watched.py, under importlib mode

from hands import Phone, Screen, missing_programs

EXAMPLES = Path(__file__).resolve().parents[2] / "demo_app" / "examples"


@pytest.fixture(scope="session")
def bundle():
    """pulse-nano as ONNX, as it comes with the runtime."""
    from edge_runtime.bundle import bundle_folder

    return bundle_folder("pulse-nano")


@pytest.fixture(scope="session")
def gguf_bundle(tmp_path_factory):
    """A bundle for llama.cpp, which no engine here runs."""
    from export.cli import main
    from tests.golden import GOLDEN

    folder = tmp_path_factory.mktemp("gguf") / "tiny-gguf"
    checkpoint = str(GOLDEN / "a" / "checkpoint")
    assert main([checkpoint, "--target", "gguf", "--weights", "float32", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def screen():
    missing = missing_programs()
    if missing:
        why = f"{' and '.join(missing)} not installed; as root: apt-get install xvfb xdotool libgl1-mesa-dri"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    screen = Screen()
    yield screen
    screen.close()


@pytest.fixture
def open_phone(screen, bundle, tmp_path):
    """open_phone(size, *arguments): the app in a window, closed at the end of the test."""
    opened = []

    def start(size="360x640", *arguments, data=None, **kwargs):
        if "WATCHED_NO_BUNDLE" not in kwargs.get("environ", {}):
            arguments = ("--bundle", bundle, *arguments)
        phone = Phone(screen, data or tmp_path / "data", size, *arguments, **kwargs)
        opened.append(phone)
        return phone

    yield start
    for phone in opened:
        phone.close()


@pytest.fixture(scope="session")
def photo():
    """A page photographed from the side, on a dark desk."""
    return Image.open(EXAMPLES / "d-bundle-branch-block-photo.jpg").convert("RGB")


@pytest.fixture(scope="session")
def clean():
    """A drawn page that fills its picture."""
    return Image.open(EXAMPLES / "b-normal.jpg").convert("RGB")
