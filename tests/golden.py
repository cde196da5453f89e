"""Where the golden cases are, and how to open one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "data" / "golden"
MODELS = ("a", "unpad")
CASES = ("small_one", "page_two", "portrait_one", "wide_two")


def case(model: str, name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / model / "cases" / f"{name}.npz") as file:
        return dict(file)
