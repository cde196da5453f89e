"""The delineator and neurokit2's four methods on the same leads of LUDB, scored alike."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

from distill.delineator.scoring import KINDS, POINTS, Score, table
from edge_runtime.waves.delineate import delineate
from edge_runtime.waves.net import TRAINED_ON, shipped
from pulse.ecg.ludb import Marked

METHODS = ("dwt", "cwt", "prominence", "peak")
# neurokit2's names of the points; for the QRS it has R for all of them, and its peak is the R peak itself.
_NAMES = {"P": "P", "QRS": "R", "T": "T"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Points:
    """A point that a method found, in seconds; the other two are NaN, as it lists onsets, peaks and offsets apart."""

    kind: str
    onset: float
    peak: float
    offset: float


Finder = Callable[[np.ndarray, float], Sequence[Iterable[Any]]]  # [12, n] in mV, samples a second -> of each lead


def measure(records: Sequence[Marked], folds: int | None = None) -> list[Row]:
    """One row a method: method, records, unseen (whether it has learned from none of them), ms_a_record, figures (as
    Score.figures)."""
    learned = set(shipped()[TRAINED_ON].tolist())
    rows = []
    for unseen in (True, False):
        some = [record for record in records if (record.number in learned) != unseen]
        if some:
            rows.append(_row("shipped", some, unseen, delineate))
    if folds:
        rows.append(_cross_validated(records, folds))
    for method in METHODS:
        rows.append(_row(f"neurokit2 {method}", records, True, partial(_neurokit, method=method)))
    return rows


def _row(method: str, records: Sequence[Marked], unseen: bool, find: Finder) -> Row:
    score, took = Score(), []
    for record in tqdm(records, method):
        started = time.perf_counter()
        found = find(record.signal, record.fs)
        took.append(1e3 * (time.perf_counter() - started))
        for marked, waves in zip(record.marks, found, strict=True):
            score.add(record.number, marked, waves, record.fs)
    return {
        "method": method,
        "records": len(records),
        "unseen": unseen,
        "ms_a_record": round(float(np.median(took)), 1),
        "figures": score.figures(),
    }


def _cross_validated(records: Sequence[Marked], folds: int) -> Row:
    import torch

    from distill.delineator.training import Settings, cross_validated

    torch.set_num_threads(1)  # as the training command has it: other numbers of threads round otherwise
    figures = cross_validated(records, Settings(), folds).figures()
    method = f"{folds}-fold cross-validation"
    return {"method": method, "records": len(records), "unseen": True, "ms_a_record": None, "figures": figures}


def _neurokit(mv: np.ndarray, fs: float, method: str) -> list[list[Points]]:
    """What neurokit2 finds in each lead by itself, with its own cleaning and R peaks; nothing where it gives up."""
    import neurokit2 as nk

    leads: list[list[Points]] = []
    for lead in mv:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of leads in which it finds nothing
                clean = nk.ecg_clean(lead, sampling_rate=int(fs))
                peaks = nk.ecg_peaks(clean, sampling_rate=int(fs))[1]["ECG_R_Peaks"]
                waves = nk.ecg_delineate(clean, peaks, sampling_rate=int(fs), method=method)[1]
        except (ValueError, IndexError, KeyError, ZeroDivisionError, TypeError):
            leads.append([])
            continue
        leads.append(list(_points({**waves, "ECG_R_Peaks": peaks}, fs)))
    return leads


def _points(waves: dict[str, Any], fs: float) -> Iterable[Points]:
    nan = float("nan")
    for kind in KINDS:
        for point in POINTS:
            for at in waves.get(f"ECG_{_NAMES[kind]}_{point.capitalize()}s", ()):
                yield Points(kind, **{name: at / fs if name == point else nan for name in POINTS})


def as_text(rows: Sequence[Row]) -> str:
    blocks = []
    for row in rows:
        seen = "none of which it has learned from" if row["unseen"] else "ALL OF WHICH IT HAS LEARNED FROM"
        cost = "" if row["ms_a_record"] is None else f"; {row['ms_a_record']:.0f} ms a record"
        blocks.append(f"{row['method']}: {row['records']} records, {seen}{cost}\n{table(row['figures'])}")
    note = "found minus marked, pairs within 150 ms, between each lead's first and last mark"
    return "\n\n".join([*blocks, note])
