"""Task ptbxl-super: ECGBench's five diagnostic superclasses, asked on pages drawn from a PTB-XL folder.

The answer in words is scored as PULSE's evaluation does (arXiv 2410.19008, evaluate_ecgbench.py): a class counts as
named when its code is a case-sensitive substring of the whole answer; macro F1, macro AUC of those 0/1 answers, Hamming
loss. Beside them the honest figures: AUC and calibration of the findings' probabilities, sensitivity and specificity by
class, and 95 % intervals that draw patients. Records without any diagnostic superclass are left out, as Strodthoff et
al. 2020 (arXiv 2004.13701) do: ECGBench's gold answer always names one.
"""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.subjects import open_subject
from distill.score import auc, bootstrap, calibration_error, f1, hard_figures, macro_auc
from edge_runtime.session import Session
from pulse.ecg.photo import photograph
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, superclasses
from pulse.ecg.render import render
from pulse.instruct.questions import SUPERCLASS


@dataclass(frozen=True)
class Pages:
    """How the records are drawn: layout, and the seed of the photo effects (None: a clean page); and whether the answer
    is free to be any words, not only the classes that the question lists."""

    layout: str = "3x4+rhythm"
    photo: int | None = None
    free: bool = False


def gold_of(database: PtbXl, fold: int, limit: int = 0) -> dict[int, tuple[str, ...]]:
    """ecg_id -> superclasses, of the records that have any; limit 0 takes all, otherwise the first so many."""
    gold = {}
    for ecg_id in database.ids([fold]):
        found = superclasses(database.scp_codes(ecg_id))
        if found:
            gold[ecg_id] = tuple(name for name in SUPERCLASSES if name in found)
        if len(gold) == limit > 0:
            break
    return gold


def named(answer: str) -> tuple[str, ...]:
    """The classes an answer names, by PULSE's rule."""
    return tuple(name for name in SUPERCLASSES if name in answer)


def answers(bundle: Path, data: Path, ids: list[int], pages: Pages, workers: int) -> Iterator[dict[str, Any]]:
    """One row a record, in the order of ids: ecg_id, patient_id, answer, is_ecg, probabilities by finding label.

    Raises UserError when the bundle cannot be run.
    """
    # Spawned: a fork of a process whose ONNX Runtime or torch threads hold a lock never gets that lock back.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_open, initargs=(bundle, data, pages)) as pool:
        try:
            yield from pool.map(_answer, ids, chunksize=4)
        except BrokenProcessPool:
            open_subject(bundle, threads=1)  # the same refusal here, in one line, if that was why
            raise


_session: Session
_database: PtbXl
_pages: Pages


def _open(bundle: Path, data: Path, pages: Pages) -> None:
    global _session, _database, _pages
    cv2.setNumThreads(0)  # the workers are the parallelism
    _session, _database, _pages = open_subject(bundle, threads=1), PtbXl(data), pages
    threadpool_limits(1)  # NumPy's, where the interpreter of Core ML packages computes, and torch's


def _answer(ecg_id: int) -> dict[str, Any]:
    record = _database[ecg_id]
    page = render(record, _pages.layout).image
    if _pages.photo is not None:
        page = photograph(page, np.random.default_rng([_pages.photo, ecg_id]))
    seen = _session.look(page)
    # The model is scored on its answer even where it doubts that this is an ECG: the doubt is counted on its own.
    answer = seen.ask(SUPERCLASS[0], temperature=0, findings=True, anyway=True, free=_pages.free).finish()
    return {
        "ecg_id": ecg_id,
        "patient_id": record.patient_id,
        "answer": answer.text,
        "is_ecg": seen.is_ecg,
        "probabilities": {finding.label: round(finding.probability, 5) for finding in answer.findings},
    }


def score(rows: list[dict[str, Any]], gold: dict[int, tuple[str, ...]], rounds: int = 500) -> dict[str, Any]:
    """Figures of the rows: {"macro": {figure: [value, low, high]}, "classes": {class: {...}}, ...}; percent as PULSE
    prints them, AUC of probabilities and calibration error as fractions. None where a figure does not exist."""
    truth = np.array([[name in gold[row["ecg_id"]] for name in SUPERCLASSES] for row in rows], int)
    said = np.array([[name in named(row["answer"]) for name in SUPERCLASSES] for row in rows], int)
    patients = np.array([row["patient_id"] for row in rows])
    figures: dict[str, Callable[[np.ndarray], float]] = {
        "f1": lambda at: hard_figures(truth[at], said[at])["f1"],
        "hard_auc": lambda at: 100 * macro_auc(truth[at], said[at]),
        "hamming": lambda at: hard_figures(truth[at], said[at])["hamming"],
    }
    scored = all(name in row["probabilities"] for row in rows for name in SUPERCLASSES)
    if scored:
        probability = np.array([[row["probabilities"][name] for name in SUPERCLASSES] for row in rows])
        figures["auc"] = lambda at: macro_auc(truth[at], probability[at])
        figures["calibration_error"] = lambda at: calibration_error(truth[at], probability[at])
    everything = np.arange(len(rows))
    macro: dict[str, list[float | None]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        for key, figure in figures.items():
            macro[key] = [_number(v) for v in (figure(everything), *bootstrap(figure, patients, rounds))]
    classes = {}
    for k, name in enumerate(SUPERCLASSES):
        yes, no = truth[:, k] == 1, truth[:, k] == 0
        classes[name] = {
            "records": int(yes.sum()),
            "sensitivity": _number(100 * said[yes, k].mean()) if yes.any() else None,
            "specificity": _number(100 * (1 - said[no, k]).mean()) if no.any() else None,
            "f1": _number(100 * f1(truth[:, k], said[:, k])),
            "auc": _number(auc(truth[:, k], probability[:, k])) if scored else None,
        }
    doubted = [row for row in rows if row["is_ecg"] is not None and row["is_ecg"] < 0.5]
    return {
        "records": len(rows),
        "patients": len(set(patients.tolist())),
        "macro": macro,
        "classes": classes,
        "no_class_named": sum(not named(row["answer"]) for row in rows),
        "taken_for_no_ecg": len(doubted),
    }


def as_text(figures: dict[str, Any]) -> str:
    """The table that the command prints."""
    titles = {
        "f1": "F1, answers in words",
        "hard_auc": "AUC of the answers",
        "hamming": "Hamming loss",
        "auc": "AUC of probabilities",
        "calibration_error": "calibration error",
    }
    lines = [f"{figures['records']} records of {figures['patients']} patients; 95 % intervals by patient"]
    for key, title in titles.items():
        if key not in figures["macro"]:
            lines.append(f"  {title:24} not_run (the bundle does not list all five classes as findings)")
            continue
        value, low, high = figures["macro"][key]
        places = 3 if key in ("auc", "calibration_error") else 1
        span = "" if low is None else f"  ({low:.{places}f} to {high:.{places}f})"
        lines.append(f"  {title:24} " + ("-" if value is None else f"{value:.{places}f}") + span)
    lines.append("  class   records  sensitivity  specificity     F1    AUC")
    for name, row in figures["classes"].items():
        cells = (("sensitivity", 13, 1), ("specificity", 13, 1), ("f1", 7, 1), ("auc", 7, 3))
        text = "".join(
            f"{'-' if row[k] is None else format(row[k], f'.{places}f'):>{width}}" for k, width, places in cells
        )
        lines.append(f"  {name:7}{row['records']:8}{text}")
    unnamed, doubted = figures["no_class_named"], figures["taken_for_no_ecg"]
    lines.append(f"  {unnamed} answers name no class; {doubted} pages were taken for no ECG")
    return "\n".join(lines)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
