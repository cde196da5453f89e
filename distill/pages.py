"""Training pages: a record is drawn, photographed and preprocessed anew each time it is asked for.

Every page is a function of (seed, epoch, record), so a resumed run sees what an uninterrupted one would have seen,
whatever the number of workers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
from pulse.ecg.photo.photograph import photograph


@dataclass(frozen=True)
class PageMix:
    """Shares of the pages that are photographed, and that are no ECG at all."""

    photo: float = 0.25
    negative: float = 0.03


class Pages(Dataset[tuple[torch.Tensor, int, bool]]):
    """item -> (pixels float32 [C, H, W], row, is_ecg); row is the record's index in the cache, -1 when it is no ECG.

    mix None gives plain 3x4 + rhythm pages: those of the validation records.
    """

    def __init__(self, cache: DatasetCache, rows: np.ndarray, spec: PreprocessSpec, mix: PageMix | None, seed: int = 0):
        self.cache, self.rows, self.spec, self.mix, self.seed, self.epoch = cache, rows, spec, mix, seed, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int, bool]:
        cv2.setNumThreads(0)  # the workers are the parallelism
        row = int(self.rows[item])
        rng = np.random.default_rng([self.seed, self.epoch, row])
        is_ecg = True
        if self.mix is None:
            page = render(self.cache.record(row)).image
        elif rng.random() < self.mix.negative:
            page, is_ecg = not_an_ecg(rng, self.spec.width, self.spec.height), False
        else:
            record = self.cache.record(row)
            page = varied_page(replace(record, signal=time_shifted(record.signal, rng)), rng).image
            if rng.random() < self.mix.photo:
                page = photograph(page, rng)
        return torch.from_numpy(pixels(page, self.spec)[0]), row if is_ecg else -1, is_ecg


def shuffled(rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """The epoch's order of the rows."""
    return np.random.default_rng([seed, epoch]).permutation(rows)
