"""Holds for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# No test may fetch anything; read when huggingface_hub is first imported.
os.environ["HF_HUB_OFFLINE"] = "1"
# Beside another process that tests, a second thread waits for its core more than it computes; read when torch comes.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each folder of tests is about one subject; pytest -m SUBJECT runs it.
SUBJECTS = {
    "benchmarks": "benchmark",
    "demo_app": "app",
    "distill": "training",
    "edge_runtime": "runtime",
    "export": "export",
    "packaging": "packaging",
    "pulse": "model",
    "quantize": "quantization",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        item.add_marker(SUBJECTS[item.path.relative_to(here).parts[0]])
