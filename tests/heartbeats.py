"""An ECG whose truth is known: bumps of Gaussian shape along a vector in the frontal plane and chosen chest leads.

As McSharry et al. 2003 (doi:10.1109/TBME.2003.808805) make theirs, with the bumps' places in seconds, not in phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Of each lead's share of (x, y): Einthoven's triangle; the chest leads see the same vector from odd angles.
_LEADS = np.array([[1, 0], [0.5, 0.866], [-0.5, 0.866], [-0.75, -0.433], [0.75, -0.433], [0, 0.866],
                   [-0.5, -0.3], [-0.2, 0.3], [0.2, 0.5], [0.7, 0.5], [0.9, 0.4], [0.9, 0.3]])  # fmt: skip
_EDGE = 2.5  # deviations from a bump's middle to where it is called to begin and to end


@dataclass(frozen=True)
class Heart:
    """Lengths in seconds, heights in mV along the axis, axes in degrees. st: mV between QRS and T in all leads."""

    p: float = 0.09  # length; 0 for none
    pr: float = 0.16
    qrs: float = 0.09
    qt: float = 0.38
    t: float = 0.16  # length
    qrs_axis: float = 50.0
    t_axis: float = 45.0
    st: float = 0.0

    def record(self, beats: Sequence[float], fs: float = 500.0, seconds: float = 10.0) -> np.ndarray:
        """float32 [12, n] in mV; a QRS begins at each of `beats`, in seconds."""
        time = np.arange(int(seconds * fs)) / fs
        xy = np.zeros((2, len(time)))
        level = np.zeros(len(time))
        for at in beats:
            if self.p:
                xy += _along(50, 0.14 * _bump(time, at - self.pr, self.p))
            r, third = _along(self.qrs_axis, np.ones(1)), self.qrs / 3
            xy += r * (1.3 * _bump(time, at + 0.25 * third, 2.5 * third))
            xy -= r * (0.15 * _bump(time, at, 1.2 * third) + 0.25 * _bump(time, at + 1.8 * third, 1.2 * third))
            xy += _along(self.t_axis, 0.35 * _bump(time, at + self.qt - self.t, self.t))
            if self.st:
                inside = (time > at + self.qrs * 0.9) & (time < at + self.qt - self.t / 2)
                level += self.st * inside
        return (_LEADS @ xy + level).astype(np.float32)


def _along(degrees: float, values: np.ndarray) -> np.ndarray:
    angle = np.radians(degrees)
    return np.array([[np.cos(angle)], [np.sin(angle)]]) * values


def _bump(time: np.ndarray, begin: float, length: float) -> np.ndarray:
    return np.exp(-0.5 * ((time - begin - length / 2) / (length / 2 / _EDGE)) ** 2)


def regular(rate: float, seconds: float = 10.0, first: float = 0.5) -> list[float]:
    return list(np.arange(first, seconds - 0.45, 60 / rate))


def irregular(seed: int, seconds: float = 10.0) -> list[float]:
    """As in atrial fibrillation: no interval says anything about the next."""
    rng = np.random.default_rng(seed)
    return [at for at in np.cumsum(rng.uniform(0.45, 1.1, 40)) if at < seconds - 0.45]
