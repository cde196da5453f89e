"""How near found waves lie to marked ones: sensitivity, precision, mean and deviation of each boundary.

A found point and a marked one of the same kind are a pair when they lie within 150 ms, each in one pair at most
(ANSI/AAMI EC57). Errors are found minus marked. Only what lies between a lead's first and last mark is scored: nobody
marked the rest. `sd` is of all errors; `sd_within` the mean over records of the deviation within each, which is what
Martinez et al. 2004 (doi:10.1109/TBME.2003.821031) print; the CSE group's limits (1985) are on such deviations too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from pulse.ecg.ludb import Mark

TOLERANCE_S = 0.15
KINDS, POINTS = ("P", "QRS", "T"), ("onset", "peak", "offset")


class Found(Protocol):
    """A wave: its kind and its points in seconds, NaN for one that the method did not find."""

    @property
    def kind(self) -> str: ...
    @property
    def onset(self) -> float: ...
    @property
    def peak(self) -> float: ...
    @property
    def offset(self) -> float: ...


class Score:
    """Adds leads up; the figures of all that was added are in `figures`."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._missed: dict[tuple[str, str], int] = defaultdict(int)
        self._extra: dict[tuple[str, str], int] = defaultdict(int)

    def add(self, record: int, marked: Sequence[Mark], found: Iterable[Found], marked_fs: float) -> None:
        """One lead of one record. marked: in samples at marked_fs, in their order; found: in seconds."""
        if not marked:
            return
        found = list(found)
        first, last = marked[0].begin / marked_fs, marked[-1].end / marked_fs
        for kind in KINDS:
            for point in POINTS:
                true = np.array([getattr(wave, point) / marked_fs for wave in marked if wave.kind == kind], float)
                here = np.array([getattr(wave, point) for wave in found if wave.kind == kind], float)
                true, here = true[np.isfinite(true)], here[np.isfinite(here)]
                open_ended = [w.peak / marked_fs for w in marked if w.kind == kind and np.isnan(getattr(w, point))]
                pairs, unmarked = paired(true, here), paired(np.array(open_ended), here)
                taken = {j for _, j in pairs} | {j for _, j in unmarked}
                alone = [at for j, at in enumerate(here) if j not in taken and first <= at <= last]
                self._errors[kind, point][record] += [1000 * (here[j] - true[i]) for i, j in pairs]
                self._missed[kind, point] += len(true) - len(pairs)
                self._extra[kind, point] += len(alone)

    def figures(self) -> dict[str, dict[str, float | int | None]]:
        """Kind and point -> marked, sensitivity, precision, and in ms mean, sd, sd_within; None of none."""
        made: dict[str, dict[str, float | int | None]] = {}
        for kind in KINDS:
            for point in POINTS:
                by_record = [errors for errors in self._errors[kind, point].values() if errors]
                errors = np.array([error for some in by_record for error in some])
                hits, missed, extra = len(errors), self._missed[kind, point], self._extra[kind, point]
                made[f"{kind} {point}"] = {
                    "marked": hits + missed,
                    "sensitivity": hits / (hits + missed) if hits + missed else None,
                    "precision": hits / (hits + extra) if hits + extra else None,
                    "mean_ms": float(errors.mean()) if hits else None,
                    "sd_ms": float(errors.std()) if hits else None,
                    "sd_within_ms": float(np.mean([np.std(some) for some in by_record])) if hits else None,
                }
        return made


def paired(true: np.ndarray, found: np.ndarray) -> list[tuple[int, int]]:
    """Indices of true and found points within the tolerance, the nearest first, each once."""
    if not len(true) or not len(found):
        return []
    away = np.abs(true[:, None] - found)
    made: list[tuple[int, int]] = []
    rows, columns = set(range(len(true))), set(range(len(found)))
    close = np.argwhere(away <= TOLERANCE_S)
    for i, j in close[np.argsort(away[away <= TOLERANCE_S], kind="stable")].tolist():
        if i in rows and j in columns:
            rows.remove(i)
            columns.remove(j)
            made.append((i, j))
    return made


def table(figures: dict[str, dict[str, float | int | None]]) -> str:
    """Lines of text."""
    lines = [f"{'':12}{'marked':>8}{'Se':>9}{'PPV':>9}{'mean +- SD':>20}{'SD in records':>16}"]
    for name, row in figures.items():
        shares = _share(row["sensitivity"]) + _share(row["precision"])
        away = "-" if row["mean_ms"] is None else f"{row['mean_ms']:+.1f} +- {row['sd_ms']:.1f} ms"
        within = "-" if row["sd_within_ms"] is None else f"{row['sd_within_ms']:.1f} ms"
        lines.append(f"{name:12}{row['marked']:8}{shares}{away:>20}{within:>16}")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return f"{'-':>9}" if value is None else f"{100 * value:7.2f} %"
