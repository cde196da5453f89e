"""What pre-training is worth: the same network fine-tuned on a share of the labels, after it and without it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from distill.teacher import Workspace
from distill.teachers._signal_net import judged_by, train_part
from distill.teachers.signal import SignalTeacher
from distill.training_set import TrainingSet
from distill.validation import figures, macro_auc
from edge_runtime.files import replacing
from pulse.ecg.ptbxl import SUPERCLASSES

TABLE = "table.csv"
ROUNDS = 300  # of the bootstrap
VIEWS = 2  # whole signals that the dearest recipe looks at for each record


@dataclass(frozen=True)
class Size:
    """channels of SignalNet. pretraining, epochs: passes over the records without labels, and over those with. steps:
    of an epoch at least; few records are repeated until they fill them."""

    channels: tuple[int, ...]
    pretraining: int
    epochs: int
    batch: int = 64
    steps: int = 60
    peak: float = 4e-3


SIZES = {
    "small": Size((16, 24, 32, 48), pretraining=2, epochs=4),
    "gpu": Size((64, 128, 256, 512), pretraining=50, epochs=15, batch=128),
}


def labelled(data: TrainingSet, share: float, seed: int) -> np.ndarray:
    """Training rows of a share of the patients, drawn at random: [k]. A smaller share lies within a larger one."""
    patients = np.unique(data.cache.patients[data.train])
    drawn = np.random.default_rng(seed).permutation(patients)[: max(1, round(share * len(patients)))]
    return data.train[np.isin(data.cache.patients[data.train], drawn)]


def repeated(rows: np.ndarray, size: Size) -> np.ndarray:
    """The rows as often as an epoch of size.steps batches needs them."""
    return np.tile(rows, max(1, math.ceil(size.steps * size.batch / len(rows))))


def equal_epochs(rows: np.ndarray, size: Size, unlabelled: int) -> int:
    """Epochs on `rows` that cost what fine-tuning and the dearest pre-training on `unlabelled` records do together."""
    return size.epochs + math.ceil(size.pretraining * unlabelled * VIEWS / len(rows))


def measure(
    data: TrainingSet,
    rows: np.ndarray,
    size: Size,
    epochs: int,
    seed: int,
    workspace: Workspace,
    start: Mapping[str, Tensor] | None = None,
) -> dict[str, float]:
    """Fine-tune on `rows`; AUC of the superclasses' probabilities on fold 9 with its 95 % interval, patients drawn."""
    teacher = SignalTeacher(epochs=epochs, batch=size.batch, channels=size.channels, parts=1, seed=seed, peak=size.peak)
    workspace.folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    net = train_part(teacher, data, rows, 0, workspace, start)
    took = (time.monotonic() - started) / 60
    soft = judged_by(net, data.cache, data.validation, workspace.device)[:, : len(SUPERCLASSES)]
    truth = data.classes(data.validation)
    low, high = interval(lambda at: macro_auc(truth[at], soft[at]), data.cache.patients[data.validation], seed)
    return {"auc": figures(truth, soft)["auc"], "low": low, "high": high, "minutes": took}


def interval(figure: Callable[[np.ndarray], float], patients: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of figure(row indices) when patients, not records, are drawn with replacement."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    drawn = (rng.integers(0, len(groups), len(groups)) for _ in range(ROUNDS))
    low, high = np.nanpercentile([figure(np.concatenate([groups[k] for k in each])) for each in drawn], [2.5, 97.5])
    return float(low), float(high)


def write_row(path: Path, row: Mapping[str, object]) -> None:
    """Append a row."""
    kept = read_rows(path)
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([*kept, row])


def read_rows(path: Path) -> list[dict[str, str]]:
    """The table's rows, none when there is no table."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
