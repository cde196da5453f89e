"""A figure measured many times: its median, its spread, and what of it is noise.

Readings of one process resemble each other more than those of another, since a process keeps its memory layout and
meets one state of the machine. So readings come in rounds, one process each, and the interval draws rounds first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Figure(TypedDict):
    """median of all readings, its 95 % interval, their lowest and highest, and each round's median."""

    median: float
    interval: list[float]
    min: float
    max: float
    rounds: list[float]


def figure(rounds: Sequence[Sequence[float]], draws: int = 1000, seed: int = 0) -> Figure:
    """Summarise readings [round][reading]; raises ValueError where a round is empty.

    The interval is that of a two-stage bootstrap (rounds, then readings within them; Davison and Hinkley 1997, section
    3.8): with few rounds it is about as wide as the rounds differ.
    """
    if not rounds or not all(len(readings) for readings in rounds):
        raise ValueError("every round needs a reading")
    columns = [np.asarray(readings, float) for readings in rounds]
    rng = np.random.default_rng(seed)
    medians = np.empty(draws)
    for k in range(draws):
        drawn = (columns[i] for i in rng.integers(0, len(columns), len(columns)))
        medians[k] = np.median(np.concatenate([rng.choice(readings, len(readings)) for readings in drawn]))
    everything = np.concatenate(columns)
    low, high = np.percentile(medians, [2.5, 97.5])
    return {
        "median": _rounded(np.median(everything)),
        "interval": [_rounded(low), _rounded(high)],
        "min": _rounded(everything.min()),
        "max": _rounded(everything.max()),
        "rounds": [_rounded(np.median(readings)) for readings in columns],
    }


def slower(old: Figure, new: Figure, tolerance: float, higher_is_better: bool = False) -> bool:
    """Whether `new` is worse beyond noise: every round of it is worse than every round of `old`, and the medians
    differ by more than the share `tolerance`."""
    if higher_is_better:
        return max(new["rounds"]) < min(old["rounds"]) and new["median"] < old["median"] * (1 - tolerance)
    return min(new["rounds"]) > max(old["rounds"]) and new["median"] > old["median"] * (1 + tolerance)


def _rounded(value: float) -> float:
    """Four figures past the point: a tenth of a microsecond, where the unit is milliseconds."""
    return round(float(value), 4)
