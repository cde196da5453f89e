"""Task arena: conversations in free text, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

TASK = Subset("arena", "conversations in free text", 50, "arena")
