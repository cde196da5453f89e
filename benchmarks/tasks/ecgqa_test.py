"""Task ecgqa-test: questions of ECG-QA with their options, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset("ecgqa-test", "questions of ECG-QA with their options", 1317, "options")
