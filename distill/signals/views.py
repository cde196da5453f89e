"""Records as a device knows them: whole, or what a page of some layout shows of each lead and a reader made of it."""

from __future__ import annotations

import numpy as np
from torch.utils.data import Dataset

from distill.dataset_cache import FS, DatasetCache
from edge_runtime.leads import LEADS
from edge_runtime.page.layout import Layout
from edge_runtime.page.layouts import LAYOUTS
from edge_runtime.recording import Recording
from edge_runtime.signal_input import signal_input

_WHOLE = 0.35  # of the views
_PAGE_S = (8.0, 10.0)
_LOST_LEAD, _GAP = 0.03, 0.1


class Views(Dataset[tuple[np.ndarray, int]]):
    """(signal_input of a record's view float32 [24, 1024], its row) of the rows of a cache, in their order.

    layout: the name of the one that shows them, "" for whole and unchanged records; None: any, changed as readers and
    recorders change them, by (seed, epoch, row).
    """

    def __init__(self, cache: DatasetCache, rows: np.ndarray, layout: str | None, seed: int = 0, epoch: int = 0):
        self.cache, self.rows, self.layout, self.seed, self.epoch = cache, rows, layout, seed, epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[np.ndarray, int]:
        row = int(self.rows[item])
        mv = self.cache.signals[row].astype(np.float32) / 1000
        if self.layout is None:
            mv = varied(mv, np.random.default_rng([self.seed, self.epoch, row]))
        elif self.layout:
            mv = np.where(shown(LAYOUTS[self.layout], mv.shape[1], mv.shape[1] / FS), mv, np.nan)
        return signal_input(Recording(mv, FS)), row


def varied(mv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """mv [12, n] at 100 Hz with what differs between two recordings and two readings of them; NaN where a view lacks a
    lead or a part of it."""
    leads, count = mv.shape
    out = _warped(np.roll(mv, int(rng.integers(count)), axis=1) if rng.random() < 0.5 else mv, rng.uniform(0.97, 1.03))
    out = out * rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, (leads, 1))
    seconds = np.linspace(0, count / FS, count)
    turns = rng.uniform(0.1, 0.4) * seconds + rng.uniform(0, 1, (leads, 1))
    out += rng.uniform(0, 0.15, (leads, 1)) * np.sin(2 * np.pi * turns)
    out += rng.uniform(0, 0.03) * rng.standard_normal(out.shape)
    if rng.random() < 0.6:  # a pen's width and a camera's
        side = rng.uniform(0, 0.33)
        out = (1 - 2 * side) * out + side * (np.roll(out, 1, axis=1) + np.roll(out, -1, axis=1))
    if rng.random() >= _WHOLE:
        layout = list(LAYOUTS.values())[int(rng.integers(len(LAYOUTS)))]
        page_s = 5.0 if rng.random() < 0.05 else float(rng.uniform(*_PAGE_S)) if rng.random() < 0.3 else 10.0
        out[~shown(layout, count, page_s, rng)] = np.nan
    out[rng.random(leads) < _LOST_LEAD] = np.nan
    for lead in np.flatnonzero(rng.random(leads) < _GAP):
        begin = int(rng.integers(count))
        out[lead, begin : begin + int(rng.integers(5, 60))] = np.nan
    return out.astype(np.float32)


def shown(layout: Layout, count: int, page_s: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """bool [12, count] at 100 Hz: what a page of so many seconds shows of each lead; rng: less a little at the ends."""
    seen = np.zeros((len(LEADS), count), bool)
    for names in (*layout.rows, *((name,) for name in layout.rhythm)):
        span = page_s / len(names)
        for column, name in enumerate(names):
            begin = 0.0 if layout.simultaneous else column * span
            less = (0.0, 0.0) if rng is None else rng.uniform(0, 0.12, 2)
            at = slice(round((begin + less[0]) * FS), round((begin + span - less[1]) * FS))
            seen[LEADS.index(name.removeprefix("-")), at] = True
    return seen


def _warped(mv: np.ndarray, speed: float) -> np.ndarray:
    """The same at another speed of the paper, to its end as far as it goes."""
    count = mv.shape[1]
    at = np.minimum(np.arange(count) * speed, count - 1)
    left = np.minimum(at.astype(int), count - 2)
    part = at - left
    warped: np.ndarray = mv[:, left] * (1 - part) + mv[:, left + 1] * part
    return warped
