"""A record begun at another moment: a page shows two seconds and a half of most leads, and a student that always saw
the same ones learns those beats by heart."""

from __future__ import annotations

import numpy as np

JOINED, SEARCHED = 50, 200  # samples at 100 Hz: half a second is faded over, a beat slower than 30 a minute still fits


def time_shifted(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same signal [leads, n >= 500] begun up to n - 250 samples later, as float32 [leads, n].

    What is then missing at the end goes on from the signal's beginning, joined where its end looks most like its
    beginning: the beat after the seam comes in time, and there is no step.
    """
    samples = signal.shape[1]
    starts = samples - JOINED - SEARCHED
    beginning = signal[:, :JOINED].astype(np.float32)
    ends = np.lib.stride_tricks.sliding_window_view(signal[:, starts:].astype(np.float32), JOINED, axis=1)
    nearest = int(np.square(ends - beginning[:, None]).sum((0, 2)).argmin())
    fade = np.linspace(0, 1, JOINED, dtype=np.float32)
    seam = ends[:, nearest] * (1 - fade) + beginning * fade
    joined = np.concatenate([signal[:, : starts + nearest], seam, signal[:, JOINED:]], axis=1, dtype=np.float32)
    start = int(rng.integers(0, starts))
    return joined[:, start : start + samples]
