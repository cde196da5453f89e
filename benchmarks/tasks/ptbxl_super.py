"""Task ptbxl-super: ECGBench's five diagnostic superclasses, asked on pages drawn from a PTB-XL folder.

The answer in words is scored as PULSE's evaluation does (arXiv 2410.19008, evaluate_ecgbench.py): a class counts as
named when its code is a case-sensitive substring of the whole answer. Records without any diagnostic superclass are
left out, as Strodthoff et al. 2020 (arXiv 2004.13701) do: ECGBench's gold answer always names one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics.labels import SHOWN, label_figures, label_measures, lines
from benchmarks.task import Answered, Asked, Marks, Questions
from benchmarks.tasks import _ptbxl
from edge_runtime.errors import UserError
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl, superclasses

_JOINT = "; "


def named(answer: str) -> tuple[str, ...]:
    """The classes an answer names, by PULSE's rule."""
    return tuple(name for name in SUPERCLASSES if name in answer)


class Superclasses:
    """See benchmarks.task.Task."""

    title = "the five diagnostic superclasses of PTB-XL, scored as PULSE's evaluation does"
    data, sample, group = _ptbxl.DATA, True, "patient"
    shown, headline, margin = SHOWN, "f1", 2.0

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        _ptbxl.add_arguments(parser)

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        return _ptbxl.about(options)

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """The fold's records that have a superclass. Raises UserError when there are none."""
        from pulse.instruct.questions import SUPERCLASS, Turn

        database = PtbXl(data)
        asked: list[Asked] = []
        for ecg_id in database.ids([options.fold]):
            found = superclasses(database.scp_codes(ecg_id))
            if found:
                turn = Turn(SUPERCLASS[0], _JOINT.join(name for name in SUPERCLASSES if name in found))
                patient = str(database.about(ecg_id)["patient_id"])
                asked.append(Asked(str(ecg_id), _ptbxl.drawn(data, ecg_id, options), (turn,), patient, None))
            if len(asked) == options.limit > 0:
                break
        if not asked:
            raise UserError(
                f"{data}: fold {options.fold} holds no record with a diagnostic superclass; give another --fold"
            )
        return Questions(len(asked), asked)

    def marks(self, rows: Sequence[Answered]) -> Marks:
        """The probabilities count only where the bundle lists all five classes."""
        gold = [row.turns[0].answer.split(_JOINT) for row in rows]
        truth = np.array([[name in names for name in SUPERCLASSES] for names in gold], int)
        said = np.array([[name in named(row.answers[0]) for name in SUPERCLASSES] for row in rows], int)
        probability = np.full(truth.shape, np.nan)
        if all(name in row.probabilities for row in rows for name in SUPERCLASSES):
            probability = np.array([[row.probabilities[name] for name in SUPERCLASSES] for row in rows])
        return Marks(label_measures(truth, said, probability), SUPERCLASSES, truth, said, probability)

    def score(self, rows: Sequence[Answered], options: argparse.Namespace, rounds: int = 500) -> dict[str, Any]:
        """Figures of the rows: label_figures' macro and classes, and counts."""
        marks = self.marks(rows)
        patients = np.array([row.group for row in rows])
        doubted = [row for row in rows if row.is_ecg is not None and row.is_ecg < 0.5]
        return {
            "records": len(rows),
            "patients": len(set(patients.tolist())),
            **label_figures(marks.classes, marks.truth, marks.predicted, marks.probability, patients, rounds),
            "no_class_named": sum(not named(row.answers[0]) for row in rows),
            "taken_for_no_ecg": len(doubted),
        }

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float | None]]:
        found: dict[str, Sequence[float | None]] = figures["macro"]
        return found

    def as_text(self, figures: Mapping[str, Any]) -> str:
        head = f"{figures['records']} records of {figures['patients']} patients; 95 % intervals by patient"
        unnamed, doubted = figures["no_class_named"], figures["taken_for_no_ecg"]
        tail = f"  {unnamed} answers name no class; {doubted} pages were taken for no ECG"
        return "\n".join([head, *lines(figures), tail])


TASK = Superclasses()
