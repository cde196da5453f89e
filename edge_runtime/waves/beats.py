"""The marks of several leads put together beat by beat, as recorders measure: a wave begins where the first leads show
it and ends where the last do. A single lead may be wrong, so quantiles stand for first and last; they mean the same
for the three leads of a printed column as for twelve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge_runtime.waves.delineate import Marks, Wave
from edge_runtime.waves.prepare import Array

_SAME_BEAT_S = 0.1  # between the middles of one beat's QRS in two leads
_LEAST_CONFIDENCE = 0.6  # mean of a beat's leads
_PR_S = (0.05, 0.4)  # from the onset of a P to the onset of its QRS
_EARLY = 0.2  # the quantile of the leads that stands for the first of them
_SHARE = 0.4  # of a beat's leads that must show a P, and likewise a T


@dataclass(frozen=True)
class Beat:
    """One beat: lead's row -> its wave. A lead that does not show this beat is in none of them."""

    qrs: Mapping[int, Wave]
    p: Mapping[int, Wave]
    t: Mapping[int, Wave]

    @cached_property
    def onset(self) -> float:
        """Of the QRS, in seconds."""
        return _quantile([wave.onset for wave in self.qrs.values()], _EARLY)

    @cached_property
    def offset(self) -> float:
        return _quantile([wave.offset for wave in self.qrs.values()], 1 - _EARLY)

    @cached_property
    def p_ends(self) -> tuple[float, float] | None:
        """First onset and last offset in seconds; None where too few leads show a P."""
        return self._ends(self.p)

    @cached_property
    def t_ends(self) -> tuple[float, float] | None:
        return self._ends(self.t)

    def _ends(self, shown: Mapping[int, Wave]) -> tuple[float, float] | None:
        if len(shown) < max(1, _SHARE * len(self.qrs)):
            return None
        waves = shown.values()
        return _quantile([w.onset for w in waves], _EARLY), _quantile([w.offset for w in waves], 1 - _EARLY)


def _quantile(times: Sequence[float], share: float) -> float:
    """As numpy's, which takes fifty times as long over twelve numbers."""
    ordered, place = sorted(times), share * (len(times) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def beats(marks: Marks, present: Array, fs: float) -> list[Beat]:
    """In their order. present: bool [leads, n] at fs. A beat needs a QRS in half of the leads that are there to show
    it, and the network's confidence."""
    everywhere = sorted(
        ((lead, wave) for lead, waves in enumerate(marks) for wave in waves if wave.kind == "QRS"),
        key=lambda item: _middle(item[1]),
    )
    groups: list[dict[int, Wave]] = []
    for lead, wave in everywhere:
        if groups and _middle(wave) - _centre(groups[-1]) < _SAME_BEAT_S:
            if lead not in groups[-1]:
                groups[-1][lead] = wave
        else:
            groups.append({lead: wave})
    sure = [group for group in groups if _believed(group, present, fs)]
    begins = [min(wave.onset for wave in group.values()) for group in sure] + [np.inf]
    return [
        Beat(group, _before(group, marks, begins[i - 1] if i else -np.inf), _after(group, marks, begins[i + 1]))
        for i, group in enumerate(sure)
    ]


def _middle(wave: Wave) -> float:
    return (wave.onset + wave.offset) / 2


def _centre(group: Mapping[int, Wave]) -> float:
    return _quantile([_middle(wave) for wave in group.values()], 0.5)


def _believed(group: Mapping[int, Wave], present: Array, fs: float) -> bool:
    at = int(_centre(group) * fs)
    margin = int(_SAME_BEAT_S * fs)
    there = present[:, max(at - margin, 0) : at + margin].all(1).sum()
    confidence = sum(wave.confidence for wave in group.values()) / len(group)
    return bool(len(group) >= there / 2 and confidence >= _LEAST_CONFIDENCE)


def _before(group: Mapping[int, Wave], marks: Marks, previous: float) -> dict[int, Wave]:
    """The last P before the QRS in each lead."""
    found = {}
    for lead, beat in group.items():
        for wave in marks[lead]:
            if wave.onset > beat.onset:
                break
            if wave.kind == "P" and wave.onset > previous and _PR_S[0] <= beat.onset - wave.onset <= _PR_S[1]:
                found[lead] = wave
    return found


def _after(group: Mapping[int, Wave], marks: Marks, following: float) -> dict[int, Wave]:
    found = {}
    for lead, beat in group.items():
        waves = [wave for wave in marks[lead] if wave.kind == "T" and beat.onset < wave.onset < following]
        if waves:
            found[lead] = waves[0]
    return found
