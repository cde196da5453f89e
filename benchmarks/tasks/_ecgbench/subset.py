"""A subset of ECGBench (PULSE, arXiv 2410.19008) as a task: what it holds, and by which rule its answers are scored."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.metrics.labels import SHOWN as LABELS
from benchmarks.task import Answered, Marks, Questions, Shown
from benchmarks.tasks._ecgbench import free_text, judge
from edge_runtime.errors import UserError

_ACCURACY = Shown("accuracy", "accuracy", column="accuracy")
_SHOWN = {
    "labels": LABELS,
    "letter": (_ACCURACY, Shown("without_luck", "none drawn at random")),
    "options": (_ACCURACY,),
    "report": free_text.SHOWN,
    "arena": free_text.SHOWN,
}


@dataclass(frozen=True)
class Subset:
    """See benchmarks.task.Task.

    rows: as published. kind: "labels" (several of classes), "letter" (multiple choice), "options" (a set out of the
    prompt's own), "report" or "arena" (free text, judged). classes: codes, or the letters. exact: PULSE's evaluation
    skips a file that has not exactly `rows` rows. findings: class -> the superclass or SCP statement whose probability
    stands for it beside the answer in words; a class without one (ABNORMAL) has none.
    """

    name: str
    title: str
    rows: int
    kind: str
    classes: tuple[str, ...] = ()
    exact: bool = False
    findings: tuple[tuple[str, str], ...] = ()

    data = "ECGBench's folder, or the subset's own, Parquet or JSON"
    sample, group, margin = False, "record", 2.0

    @property
    def shown(self) -> tuple[Shown, ...]:
        return _SHOWN[self.kind]

    @property
    def headline(self) -> str:
        return self.shown[0].key

    @property
    def judged(self) -> bool:
        return self.kind in judge.CRITERIA

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        if self.judged:
            judge.add_arguments(parser)

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        return {}

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """The rows in their order. Raises UserError for a folder without them, and for half a judge."""
        from benchmarks.tasks._ecgbench import read

        if self.judged:
            judge.endpoint_of(options)
        files = read.files_of(self, data)
        total = min(options.limit or self.rows, self.rows)
        return Questions(total, islice(read.rows(self, data, files), options.limit or None))

    def marks(self, rows: Sequence[Answered]) -> Marks:
        from benchmarks.tasks._ecgbench import scoring

        return scoring.marks(self, rows)

    def score(self, rows: Sequence[Answered], options: argparse.Namespace) -> dict[str, Any]:
        from benchmarks.tasks._ecgbench import scoring

        figures = scoring.score(self, rows, part=options.limit > 0)
        if self.judged and (endpoint := judge.endpoint_of(options)):
            figures["judge"] = judge.judged(endpoint, self.kind, rows)
        return figures

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float | None] | None]:
        found = {"labels": "macro", "report": "findings", "arena": "findings"}.get(self.kind)
        where = figures[found] if found else figures
        return {shown.key: where.get(shown.key) for shown in self.shown}

    def as_text(self, figures: Mapping[str, Any]) -> str:
        from benchmarks.tasks._ecgbench import scoring

        return scoring.as_text(figures)

    def check_rows(self, rows: int) -> None:
        """Raises UserError where PULSE's evaluation would skip the file: another count than the published one."""
        if self.exact and rows != self.rows:
            raise UserError(f"{self.name}: {rows} answers, but it is scored on exactly {self.rows}; answer every row")
