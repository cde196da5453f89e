"""Task mmmu-ecg: multiple choice on pages from textbooks, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset("mmmu-ecg", "multiple choice on pages from textbooks", 200, "letter", tuple("ABCD"), exact=True)
