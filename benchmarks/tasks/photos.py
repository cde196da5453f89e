"""Task photos: what is on pictures of one's own, told by a table beside them.

--data names a folder with the pictures and labels.csv: columns `file` and `labels`, the labels of a picture parted by
semicolons, none for a picture without a finding. A label is any that the bundle knows. The five superclasses count as
named by PULSE's rule (benchmarks.tasks.ptbxl_super), any other finding where its probability reaches one half.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics.labels import SHOWN, label_figures, label_measures, lines
from benchmarks.task import Answered, Asked, Marks, Questions
from edge_runtime.errors import UserError
from pulse.ecg.ptbxl import SUPERCLASSES

TABLE = "labels.csv"
_JOINT = ";"


class Photos:
    """See benchmarks.task.Task."""

    title = "pictures of one's own, with a table of what is on them"
    data, sample, group = "a folder of pictures and labels.csv (columns file, labels)", False, "picture"
    shown, headline, margin = SHOWN, "f1", 2.0

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        """None of its own."""

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        return {}

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """Each picture of the table. Raises UserError for a table that cannot be read and a picture that is missing."""
        from pulse.instruct.questions import SUPERCLASS, Turn

        asked = []
        for name, labels in _table(data / TABLE)[: options.limit or None]:
            if not (data / name).is_file():
                raise UserError(f"{data / TABLE}: names {name}, which is not in {data}; add it or take its line out")
            turn = Turn(SUPERCLASS[0], _JOINT.join(labels))
            asked.append(Asked(name, str(data / name), (turn,), name, None))
        return Questions(len(asked), asked)

    def marks(self, rows: Sequence[Answered]) -> Marks:
        """The classes are the labels that the table uses. Raises UserError for one that the bundle does not know."""
        gold = [set(filter(None, row.turns[0].answer.split(_JOINT))) for row in rows]
        classes = tuple(label for label in rows[0].probabilities if any(label in labels for labels in gold))
        if unknown := sorted(set().union(*gold) - set(classes)):
            known = ", ".join(rows[0].probabilities)
            raise UserError(f"{TABLE}: {unknown[0]} is no label that the bundle knows; it knows {known}")
        truth = np.array([[label in labels for label in classes] for labels in gold], int)
        probability = np.array([[row.probabilities[label] for label in classes] for row in rows])
        named = [
            [label in row.answers[0] if label in SUPERCLASSES else label in row.likely for label in classes]
            for row in rows
        ]
        predicted = np.array(named, int)
        return Marks(label_measures(truth, predicted, probability), classes, truth, predicted, probability)

    def score(self, rows: Sequence[Answered], options: argparse.Namespace, rounds: int = 500) -> dict[str, Any]:
        """label_figures' macro and classes, how many pictures were taken for no ECG, and milliseconds to read one."""
        marks = self.marks(rows)
        names = np.array([row.group for row in rows])
        times = [row.reading_ms for row in rows if row.reading_ms is not None]
        return {
            "pictures": len(rows),
            **label_figures(marks.classes, marks.truth, marks.predicted, marks.probability, names, rounds),
            "taken_for_no_ecg": [row.id for row in rows if row.is_ecg is not None and row.is_ecg < 0.5],
            "reading_ms": {"median": float(np.median(times)), "most": max(times)} if times else None,
        }

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float | None]]:
        found: dict[str, Sequence[float | None]] = figures["macro"]
        return found

    def as_text(self, figures: Mapping[str, Any]) -> str:
        refused, times = figures["taken_for_no_ecg"], figures["reading_ms"]
        text = [f"{figures['pictures']} pictures; 95 % intervals by picture", *lines(figures)]
        names = f": {', '.join(refused[:8])}{' ...' if len(refused) > 8 else ''}" if refused else ""
        text.append(f"  {len(refused)} pictures were taken for no ECG{names}")
        if times is not None:
            text.append(f"  {times['median']:.0f} ms to read a picture, at most {times['most']:.0f}, decoding included")
        return "\n".join(text)


def _table(path: Path) -> list[tuple[str, list[str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"file", "labels"} <= set(reader.fieldnames or ()):
                raise UserError(f"{path}: has no columns file and labels; its first line must name them")
            rows = [(row["file"] or "", row["labels"] or "") for row in reader]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason}); give a folder of pictures with {TABLE}") from None
    if not rows:
        raise UserError(f"{path}: lists no picture; add a line for each")
    return [(name, [label.strip() for label in labels.split(_JOINT) if label.strip()]) for name, labels in rows]


TASK = Photos()
