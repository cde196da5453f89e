"""Task cpsc-test: the classes of CPSC 2018, a subset of ECGBench."""

from __future__ import annotations

from benchmarks.tasks._ecgbench.subset import Subset

_FINDINGS = (("NORM", "NORM"), ("AF", "AFIB"), ("I-AVB", "1AVB"), ("LBBB", "CLBBB"), ("RBBB", "CRBBB"), ("PAC", "PAC"),
             ("PVC", "PVC"), ("STD", "STD_"), ("STE", "STE_"))  # fmt: skip

TASK = Subset(
    "cpsc-test", "the classes of CPSC 2018", 2061, "labels", tuple(name for name, _ in _FINDINGS), findings=_FINDINGS
)
