"""Task ptbxl-report: a free report on pages drawn from a PTB-XL folder, against one made of the record's own labels.

ECGBench's ptb-test-report asks the same of 500 of these ECGs, with references translated from PTB-XL's reports; those
are German, so here the reference is put together from the SCP statements and the axis (pulse.instruct.facts).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.task import Answered, Asked, Marks, Questions
from benchmarks.tasks import _ptbxl
from benchmarks.tasks._ecgbench import judge
from benchmarks.tasks._ecgbench.free_text import SHOWN, finding_figures, finding_marks, text_lines
from edge_runtime.errors import UserError


class Reports:
    """See benchmarks.task.Task."""

    title = "a report on each page, scored by the findings that it names, and by a judge where one is given"
    data, sample, group = _ptbxl.DATA, True, "patient"
    shown, headline, margin = SHOWN, "f1", 2.0

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        _ptbxl.add_arguments(parser)
        judge.add_arguments(parser)

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        return _ptbxl.about(options)

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """The fold's records. Raises UserError when there are none, and for half a judge."""
        from pulse.ecg.ptbxl import PtbXl
        from pulse.instruct.facts import Facts
        from pulse.instruct.questions import REPORT, Turn

        judge.endpoint_of(options)
        database = PtbXl(data)
        asked = []
        for ecg_id in database.ids([options.fold])[: options.limit or None]:
            about = database.about(ecg_id)
            turn = Turn(REPORT[0], Facts(about["scp_codes"], about["heart_axis"]).report())
            page = _ptbxl.drawn(data, ecg_id, options)
            asked.append(Asked(str(ecg_id), page, (turn,), str(about["patient_id"]), None))
        if not asked:
            raise UserError(f"{data}: fold {options.fold} holds no record; give another --fold")
        return Questions(len(asked), asked)

    def marks(self, rows: Sequence[Answered]) -> Marks:
        return finding_marks(rows)

    def score(self, rows: Sequence[Answered], options: argparse.Namespace) -> dict[str, Any]:
        """Findings named against those of the reference, intervals by patient; and how often the guard spoke up."""
        endpoint = judge.endpoint_of(options)
        return {
            "records": len(rows),
            "patients": len({row.group for row in rows}),
            "findings": finding_figures(rows),
            "clauses_left_out": sum(len(row.left_out) for row in rows),
            "judge": judge.judged(endpoint, "report", rows) if endpoint else None,
        }

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float] | None]:
        return {shown.key: figures["findings"][shown.key] for shown in SHOWN}

    def as_text(self, figures: Mapping[str, Any]) -> str:
        head = f"{figures['records']} records of {figures['patients']} patients; 95 % intervals by patient"
        left_out = f"  {figures['clauses_left_out']} clauses were left out as unlikely"
        return "\n".join([head, *text_lines(figures), left_out])


TASK = Reports()
