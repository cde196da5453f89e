"""The shipped student as a bundle, for all of the benchmarks' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.bundle import bundle_folder


@pytest.fixture(scope="session")
def bundle() -> Path:
    """As it comes with the runtime; never changed."""
    return bundle_folder("pulse-nano")
