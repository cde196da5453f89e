"""What the embedding learns from: the features that a run of pulse-distill cached, PTB-XL's reports and statements."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill.dataset_cache import open_dataset_cache
from distill.pages import Shown
from edge_runtime.errors import UserError
from edge_runtime.similar import pooled
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, scp_statements, superclasses
from quantize.load import load_model, weights_of

_RARE = 5  # a word or pair of words of fewer reports is not learned


@dataclass(frozen=True)
class Seen:
    """Pages: pooled float32 [n, 2 D] as edge_runtime.similar.pooled makes them, rows int64 [n] of the records."""

    pooled: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Records:
    """labels: a dict a record, as distill.dataset_cache keeps them. reports: its text. classes bool [n, 5] of
    SUPERCLASSES; statements bool [n, 71]."""

    labels: list[dict[str, Any]]
    reports: list[str]
    classes: np.ndarray
    statements: np.ndarray


def read_records(run: Path, data: Path) -> Records:
    """Of a run's dataset cache and PTB-XL's folder. Raises UserError where one of them is not there."""
    labels, database = open_dataset_cache(run / "dataset-cache").labels, PtbXl(data)
    reports = [str(database.about(label["ecg_id"])["report"]) for label in labels]
    codes = [set(label["scp_codes"]) for label in labels]
    classes = [superclasses(label["scp_codes"]) for label in labels]
    return Records(
        labels,
        [" ".join(report.split()) for report in reports],
        np.array([[name in found for name in SUPERCLASSES] for found in classes]),
        np.array([[code in found for code in scp_statements()] for found in codes]),
    )


def read_seen(folder: Path, checkpoint: Checkpoint) -> Seen:
    """The upright pages of a features folder, through the checkpoint's projector: what a bundle's vision gives.

    Raises UserError where the folder holds none, or features of another tower."""
    try:
        tokens, rows, shown = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "rows", "shown"))
    except OSError as error:
        raise UserError(f"{folder} holds no features ({error}); give the --out of a pulse-distill run") from None
    projector = load_model(checkpoint, weights_of(checkpoint)).multi_modal_projector
    upright = np.flatnonzero((rows >= 0) & (shown == Shown.UPRIGHT))
    made = []
    with torch.no_grad():
        for part in np.array_split(upright, max(len(upright) // 512, 1)):
            made += [pooled(seen) for seen in projector(torch.from_numpy(tokens[part].astype(np.float32))).numpy()]
    return Seen(np.array(made), np.array(rows[upright]))


class Words:
    """Reports as bags of the words and pairs of words that stand in several of the `known` ones."""

    def __init__(self, known: Sequence[str]) -> None:
        seen = Counter(word for report in known for word in set(_words(report)))
        self._numbers = {word: n for n, word in enumerate(sorted(w for w, times in seen.items() if times >= _RARE))}

    def __len__(self) -> int:
        return len(self._numbers) + 1

    def __call__(self, reports: Sequence[str]) -> list[list[int]]:
        """Numbers of each report's words; the last number alone for a report of which none is known."""
        bags = ([self._numbers[w] for w in _words(report) if w in self._numbers] for report in reports)
        return [bag or [len(self._numbers)] for bag in bags]


def _words(report: str) -> list[str]:
    words = re.findall(r"[^\W\d_]+|\d+", report.lower())
    return words + [f"{a} {b}" for a, b in pairwise(words)]
