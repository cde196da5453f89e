"""Task csn-test-no-cot: multiple choice on pages of Chapman, Shaoxing and Ningbo, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset(
    "csn-test-no-cot",
    "multiple choice on pages of Chapman, Shaoxing and Ningbo",
    1611,
    "letter",
    tuple("ABCDEFGH"),
    exact=True,
)
