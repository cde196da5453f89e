"""Task code15-test: the classes of CODE-15, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

_FINDINGS = (("NORM", "NORM"), ("1dAVb", "1AVB"), ("RBBB", "CRBBB"), ("LBBB", "CLBBB"), ("SB", "SBRAD"),
             ("ST", "STACH"), ("AF", "AFIB"))  # fmt: skip
_CLASSES = ("NORM", "ABNORMAL", *(name for name, _ in _FINDINGS[1:]))

TASK = Subset("code15-test", "the classes of CODE-15", 1400, "labels", _CLASSES, findings=_FINDINGS)
