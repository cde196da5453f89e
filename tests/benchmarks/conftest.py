"""The shipped student as a bundle, exported once for all of the benchmarks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pulse.checkpoint.checkpoint import Checkpoint
from tests.exporting import export

EXAMPLES = Path(__file__).parents[2] / "pulse" / "ecg" / "examples"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certified on one page to save time."""
    folder = tmp_path_factory.mktemp("b") / "nano"
    return export(Checkpoint.open("pulse-nano"), "onnx", "int4", folder, [EXAMPLES / "b-normal.png"])[1]
