"""Task g12-test-no-cot: multiple choice on pages of Georgia, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset("g12-test-no-cot", "multiple choice on pages of Georgia", 2026, "letter", tuple("ABCDEFGH"), exact=True)
