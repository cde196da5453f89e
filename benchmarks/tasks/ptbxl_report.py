"""Task ptbxl-report: a free report on pages drawn from a PTB-XL folder, against one made of the record's own labels.

ECGBench's ptb-test-report asks the same of 500 of these ECGs, with references translated from PTB-XL's reports; those
are German, so here the reference is put together from the SCP statements and the axis (pulse.instruct.facts).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.answers import Answered, Asked, Drawn
from benchmarks.tasks.ecgbench.scoring import text_lines
from benchmarks.tasks.ecgbench.text import finding_figures
from benchmarks.tasks.ptbxl_super import Pages
from edge_runtime.errors import UserError
from pulse.ecg.ptbxl import PtbXl
from pulse.instruct.facts import Facts
from pulse.instruct.questions import REPORT, Turn


def asked(data: Path, fold: int, pages: Pages, limit: int = 0) -> list[Asked]:
    """The fold's records, limit 0 all, otherwise the first so many. Raises UserError when there are none."""
    database = PtbXl(data)
    ids = database.ids([fold])[: limit or None]
    if not ids:
        raise UserError(f"{data}: fold {fold} holds no record; give another --fold")
    return [
        Asked(
            str(ecg_id),
            Drawn(data, ecg_id, pages.layout, pages.photo),
            (Turn(REPORT[0], _reference(database.about(ecg_id))),),
            None,
        )
        for ecg_id in ids
    ]


def _reference(about: dict[str, Any]) -> str:
    return Facts(about["scp_codes"], about["heart_axis"]).report()


def patients_of(rows: list[Answered], data: Path) -> list[int]:
    database = PtbXl(data)
    return [database.about(int(row.id))["patient_id"] for row in rows]


def score(rows: list[Answered], patients: list[int], rounds: int = 500) -> dict[str, Any]:
    """Findings named against those of the reference, intervals by patient; and how often the guard spoke up."""
    references, answers = [row.turns[0].answer for row in rows], [row.answers[0] for row in rows]
    return {
        "records": len(rows),
        "patients": len(set(patients)),
        "findings": finding_figures(references, answers, patients, rounds),
        "clauses_left_out": sum(len(row.left_out) for row in rows),
    }


def as_text(figures: dict[str, Any]) -> str:
    """The table that the command prints."""
    head = f"{figures['records']} records of {figures['patients']} patients; 95 % intervals by patient"
    return "\n".join([head, *text_lines(figures), f"  {figures['clauses_left_out']} clauses were left out as unlikely"])
