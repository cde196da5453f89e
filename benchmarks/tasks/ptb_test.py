"""Task ptb-test: the five superclasses of PTB-XL, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

_PTB = ("NORM", "MI", "STTC", "CD", "HYP")

TASK = Subset(
    "ptb-test", "the five superclasses of PTB-XL", 2082, "labels", _PTB, findings=tuple((name, name) for name in _PTB)
)
