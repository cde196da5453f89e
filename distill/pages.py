"""Training pages: a record is drawn, photographed and preprocessed anew each time it is asked for.

Every page is a function of (seed, epoch, record), so a resumed run sees what an uninterrupted one would have seen,
whatever the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from distill.dataset_cache import DatasetCache
from distill.negatives import not_an_ecg
from distill.time_shift import time_shifted
from edge_runtime.preprocess import PreprocessSpec, pixels
from pulse.ecg.paper.render import render
from pulse.ecg.paper.variety import varied_page
from pulse.ecg.photo.flattened import flattened
from pulse.ecg.photo.photograph import photograph


class Shown(IntEnum):
    """What a picture shows: an upright page, one that lies on its left side, its head or its right side (so many
    quarter turns to the left), part of a page, or no ECG."""

    UPRIGHT = 0
    LEFT = 1
    UPSIDE_DOWN = 2
    RIGHT = 3
    PART = 4
    OTHER = 5


TURNED = (Shown.LEFT, Shown.UPSIDE_DOWN, Shown.RIGHT)


@dataclass(frozen=True)
class PageMix:
    """Shares of the pictures that are no ECG, pages that lie turned, and parts of pages; of all pages, those that are
    photographed, and those that look as the page reader hands photographs on."""

    negative: float = 0.08
    turned: float = 0.06
    part: float = 0.04
    photo: float = 0.22
    flat: float = 0.45


class Pages(Dataset[tuple[torch.Tensor, int, int]]):
    """item -> (pixels float32 [C, H, W], row, Shown); row is the record's index in the cache, -1 when it is no ECG.

    mix None gives plain 3x4 + rhythm pages: those of the validation records.
    """

    def __init__(self, cache: DatasetCache, rows: np.ndarray, spec: PreprocessSpec, mix: PageMix | None, seed: int = 0):
        self.cache, self.rows, self.spec, self.mix, self.seed, self.epoch = cache, rows, spec, mix, seed, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int, int]:
        cv2.setNumThreads(0)  # the workers are the parallelism
        row = int(self.rows[item])
        rng = np.random.default_rng([self.seed, self.epoch, row])
        shown = Shown.UPRIGHT
        if self.mix is None:
            page = render(self.cache.record(row)).image
        else:
            page, shown = self._varied(row, rng, self.mix)
        return torch.from_numpy(pixels(page, self.spec)[0]), -1 if shown == Shown.OTHER else row, int(shown)

    def _varied(self, row: int, rng: np.random.Generator, mix: PageMix) -> tuple[np.ndarray, Shown]:
        what = rng.random()
        if what < mix.negative:
            return not_an_ecg(rng, self.spec.width, self.spec.height), Shown.OTHER
        record = self.cache.record(row)
        how = rng.random()
        page = varied_page(replace(record, signal=time_shifted(record.signal, rng)), rng, pale=how < mix.flat).image
        what -= mix.negative
        if mix.turned <= what < mix.turned + mix.part:
            page = _part(page, rng)
        if how < mix.flat:
            page = flattened(page, rng)
        elif how < mix.flat + mix.photo:
            page = photograph(page, rng)
        if what < mix.turned:
            turned = TURNED[int(rng.integers(len(TURNED)))]
            return np.ascontiguousarray(np.rot90(page, int(turned))), turned
        return page, Shown.PART if what < mix.turned + mix.part else Shown.UPRIGHT


def _part(page: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A cutting in which leads are missing: a third to two thirds of one side or of both."""
    height, width = page.shape[:2]
    shares = rng.uniform(0.33, 0.65, 2)
    shares[int(rng.integers(2))] = 1.0 if rng.random() < 0.6 else shares.max()
    rows, columns = int(height * shares[0]), int(width * shares[1])
    top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
    return np.ascontiguousarray(page[top : top + rows, left : left + columns])


def shuffled(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The epoch's order of the rows."""
    return np.random.default_rng([seed, epoch]).permutation(rows)
