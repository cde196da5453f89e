"""The records that a run learns from, the ones that it chooses on, and what is to be learned of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from distill.dataset_cache import DatasetCache
from distill.targets import Targets, build_targets
from edge_runtime.errors import UserError
from pulse.ecg.ptbxl import SUPERCLASSES

TRAIN_FOLDS, VALIDATION_FOLDS = (1, 2, 3, 4, 5, 6, 7, 8), (9,)


@dataclass(frozen=True)
class TrainingSet:
    """cache: every record. targets: of every record, as far as they are known from the labels. train, validation:
    indices [n] of the records of either set."""

    cache: DatasetCache
    targets: Targets
    train: np.ndarray
    validation: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """Those of both sets."""
        return np.concatenate([self.train, self.validation])

    def classes(self, rows: np.ndarray) -> np.ndarray:
        """0/1 of the diagnostic superclasses, int [n, 5]."""
        return self.targets.values[rows, : len(SUPERCLASSES)].astype(int)


def split(cache: DatasetCache, limit: int, batch: int) -> TrainingSet:
    """By PTB-XL's folds; limit: at most so many records a set, 0 for all. Raises UserError when they do not fill one
    batch."""
    train, validation = (cache.rows(folds)[: limit or len(cache)] for folds in (TRAIN_FOLDS, VALIDATION_FOLDS))
    if len(train) < batch:
        raise UserError(f"{len(train)} records to train on do not fill one batch of {batch}; give more")
    return TrainingSet(cache, build_targets(cache, train), train, validation)
