"""Task ptb-test: the five superclasses of PTB-XL, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset
from pulse.ecg.ptbxl import SUPERCLASSES

TASK = Subset(
    "ptb-test",
    "the five superclasses of PTB-XL",
    2082,
    "labels",
    SUPERCLASSES,
    findings=tuple((name, name) for name in SUPERCLASSES),
)
