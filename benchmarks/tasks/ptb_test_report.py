"""Task ptb-test-report: reports on pages of PTB-XL, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset("ptb-test-report", "reports on pages of PTB-XL", 500, "report")
