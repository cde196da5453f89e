"""Task ptbxl-super: ECGBench's five diagnostic superclasses, asked on pages drawn from a PTB-XL folder.

The answer in words is scored as PULSE's evaluation does (arXiv 2410.19008, evaluate_ecgbench.py): a class counts as
named when its code is a case-sensitive substring of the whole answer. Records without any diagnostic superclass are
left out, as Strodthoff et al. 2020 (arXiv 2004.13701) do: ECGBench's gold answer always names one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.answers import Asked, Drawn
from benchmarks.answers import answers as asked_of
from benchmarks.metrics.labels import label_figures, lines
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, superclasses
from pulse.instruct.questions import SUPERCLASS, Turn


@dataclass(frozen=True)
class Pages:
    """How the records are drawn: layout, and the seed of the photo effects (None: a clean page); and whether the answer
    is free to be any words, not only the classes that the question lists."""

    layout: str = "3x4+rhythm"
    photo: int | None = None
    unconstrained: bool = False


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
    database = PtbXl(data)
    turns = (Turn(SUPERCLASS[0], ""),)
    asked = (Asked(str(i), Drawn(data, i, pages.layout, pages.photo), turns, None) for i in ids)
    for ecg_id, answered in zip(ids, asked_of(bundle, asked, pages.unconstrained, workers), strict=True):
        yield {
            "ecg_id": ecg_id,
            "patient_id": database.about(ecg_id)["patient_id"],
            "answer": answered.answers[0],
            "is_ecg": answered.is_ecg,
            "probabilities": answered.probabilities,
        }


def score(rows: list[dict[str, Any]], gold: dict[int, tuple[str, ...]], rounds: int = 500) -> dict[str, Any]:
    """Figures of the rows: label_figures' macro and classes, and counts. The probabilities are scored only where the
    bundle lists all five classes."""
    truth = np.array([[name in gold[row["ecg_id"]] for name in SUPERCLASSES] for row in rows], int)
    said = np.array([[name in named(row["answer"]) for name in SUPERCLASSES] for row in rows], int)
    patients = np.array([row["patient_id"] for row in rows])
    probability = np.full(truth.shape, np.nan)
    if all(name in row["probabilities"] for row in rows for name in SUPERCLASSES):
        probability = np.array([[row["probabilities"][name] for name in SUPERCLASSES] for row in rows])
    doubted = [row for row in rows if row["is_ecg"] is not None and row["is_ecg"] < 0.5]
    return {
        "records": len(rows),
        "patients": len(set(patients.tolist())),
        **label_figures(SUPERCLASSES, truth, said, probability, patients, rounds),
        "no_class_named": sum(not named(row["answer"]) for row in rows),
        "taken_for_no_ecg": len(doubted),
    }


def as_text(figures: dict[str, Any]) -> str:
    """The table that the command prints."""
    head = f"{figures['records']} records of {figures['patients']} patients; 95 % intervals by patient"
    unnamed, doubted = figures["no_class_named"], figures["taken_for_no_ecg"]
    tail = f"  {unnamed} answers name no class; {doubted} pages were taken for no ECG"
    return "\n".join([head, *lines(figures), tail])
