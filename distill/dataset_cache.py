"""PTB-XL read once for training: all samples in one memory-mapped array, all labels in one JSON-lines table.

Reading 19,000 small files each epoch costs more than drawing their pages; the cache also keeps the heart rate, which
PTB-XL does not list and which takes a QRS detector to measure.
"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from edge_runtime.errors import UserError
from edge_runtime.files import replacing_folder
from pulse.ecg.ptbxl import PtbXl
from pulse.ecg.record import LEADS, Record
from pulse.instruct.intervals import heart_rate

SAMPLES = 1000  # ten seconds at 100 Hz
FS = 100.0


@dataclass(frozen=True)
class DatasetCache:
    """signals: int16 microvolts [n, 12, 1000], memory-mapped; labels: one dict a record."""

    signals: np.ndarray
    labels: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, folds: tuple[int, ...]) -> np.ndarray:
        """Indices [k] of the records in these folds."""
        return np.flatnonzero(np.isin([label["fold"] for label in self.labels], folds))

    @cached_property
    def patients(self) -> np.ndarray:
        """The patient's number of each record, [n]."""
        return np.array([label["patient_id"] for label in self.labels])

    def record(self, row: int) -> Record:
        """The record at that index."""
        label = self.labels[row]
        return Record(
            signal=self.signals[row].astype(np.float32) / 1000,
            fs=FS,
            name=f"{label['ecg_id']:05d}",
            scp_codes=label["scp_codes"],
            heart_axis=label["heart_axis"],
            patient_id=label["patient_id"],
            age=label["age"],
            sex=label["sex"],
            fold=label["fold"],
        )


def open_dataset_cache(folder: Path) -> DatasetCache:
    """Raises UserError when the folder holds none."""
    try:
        lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
        signals = np.load(folder / "signals.npy", mmap_mode="r")
    except OSError as error:
        raise UserError(f"{folder} holds no dataset cache ({error}); build it with pulse-distill --data") from None
    return DatasetCache(signals, [json.loads(line) for line in lines])


def build_dataset_cache(data: Path, folder: Path) -> DatasetCache:
    """Read a PTB-XL folder (100 Hz records) into `folder`, which appears whole or not at all; open one that is there.

    Raises UserError when `data` is no PTB-XL folder.
    """
    if (folder / "records.jsonl").exists():
        return open_dataset_cache(folder)
    database = PtbXl(data)
    ids = database.ids()
    with replacing_folder(folder) as aside:
        signals = np.lib.format.open_memmap(aside / "signals.npy", "w+", np.int16, (len(ids), len(LEADS), SAMPLES))
        # Spawned: a fork of a process whose torch threads hold a lock never gets that lock back.
        spawn = multiprocessing.get_context("spawn")
        with (
            ProcessPoolExecutor(mp_context=spawn, initializer=_open, initargs=(data,)) as pool,
            open(aside / "records.jsonl", "w", encoding="utf-8") as table,
        ):
            measured = pool.map(_measured, ids, chunksize=16)
            bar = tqdm(zip(ids, measured, strict=True), "dataset cache", len(ids), unit="record")
            for row, (ecg_id, (record, rate)) in enumerate(bar):
                signals[row] = np.round(record.signal * 1000)
                label = {
                    "ecg_id": ecg_id,
                    "patient_id": record.patient_id,
                    "fold": record.fold,
                    "age": record.age,
                    "sex": record.sex,
                    "heart_axis": record.heart_axis,
                    "scp_codes": record.scp_codes,
                    "sl12": list(database.sl12(ecg_id)),
                    "heart_rate": rate,
                }
                table.write(json.dumps(label) + "\n")
        signals.flush()
    return open_dataset_cache(folder)


_database: PtbXl  # of a worker process, which reads for itself: records are larger than their numbers


def _open(data: Path) -> None:
    global _database
    _database = PtbXl(data)


def _measured(ecg_id: int) -> tuple[Record, float | None]:
    record = _database[ecg_id]
    return record, heart_rate(record)
