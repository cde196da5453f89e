"""`pulse-bench accuracy`: asks a bundle a task's questions and scores its answers; one function for every task."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.answers import Answered, Asked, answers
from benchmarks.environment import bundle_digest
from benchmarks.tasks import ptbxl_report, ptbxl_super
from benchmarks.tasks.ecgbench import read, scoring
from benchmarks.tasks.ecgbench.judge import judged
from benchmarks.tasks.ecgbench.subsets import SUBSETS
from benchmarks.tasks.ptbxl_super import Pages
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError
from edge_runtime.session import Session
from pulse.ecg.ptbxl import PtbXl
from pulse.instruct.endpoint import Endpoint

DRAWN = ("ptbxl-super", "ptbxl-report")
TASKS = (*DRAWN, *SUBSETS)


@dataclass(frozen=True)
class Plan:
    """task: of TASKS. data: a PTB-XL folder for the tasks of DRAWN, which need fold; ECGBench's folder for the others.
    limit: only the first so many rows, 0 all. judge: who grades free text, None nobody."""

    task: str
    data: Path
    fold: int | None
    pages: Pages
    limit: int
    workers: int
    judge: Endpoint | None = None


def measure(bundle: Path, plan: Plan) -> tuple[dict[str, Any], str]:
    """The result as JSON, and as text. Raises UserError for wrong use and for data that cannot be read."""
    _check(plan)
    loaded = Bundle.load(bundle)
    Session.of(loaded)  # a bundle that does not run is one line here, not one a worker
    about = {
        "task": plan.task,
        "model": loaded.manifest.name,
        "target": loaded.manifest.target,
        "bundle": {"name": bundle.name, "sha256": bundle_digest(bundle)},
        "unconstrained": plan.pages.unconstrained,
        "limit": plan.limit,
        "workers": plan.workers,
    }
    if plan.task in DRAWN:
        about |= {"fold": plan.fold, "layout": plan.pages.layout, "photo_seed": plan.pages.photo}
    started = time.monotonic()
    task = {"ptbxl-super": _superclasses, "ptbxl-report": _reports}.get(plan.task, _subset)
    figures, rows, text = task(bundle, plan)
    seconds = time.monotonic() - started
    text += f"\n  {len(rows) / seconds:.1f} pages a second with {plan.workers} processes"
    return {**about, "seconds": round(seconds, 1), "figures": figures, "answers": rows}, text


def _check(plan: Plan) -> None:
    if plan.task in DRAWN and plan.fold is None:
        raise UserError(f"{plan.task} is drawn from one fold of PTB-XL; give --fold, 1 to 10")
    if plan.task not in DRAWN and (
        plan.fold is not None or plan.pages != Pages(unconstrained=plan.pages.unconstrained)
    ):
        raise UserError(f"{plan.task} brings its own pages; leave out --fold, --layout and --photo")
    free_text = plan.task == "ptbxl-report" or (plan.task in SUBSETS and SUBSETS[plan.task].kind in ("report", "arena"))
    if plan.judge and not free_text:
        raise UserError(f"{plan.task} needs no judge; leave out --judge")


_Outcome = tuple[dict[str, Any], list[dict[str, Any]], str]


def _superclasses(bundle: Path, plan: Plan) -> _Outcome:
    assert plan.fold is not None
    gold = ptbxl_super.gold_of(PtbXl(plan.data), plan.fold, plan.limit)
    if not gold:
        raise UserError(
            f"{plan.data}: fold {plan.fold} holds no record with a diagnostic superclass; give another --fold"
        )
    given = ptbxl_super.answers(bundle, plan.data, list(gold), plan.pages, plan.workers)
    rows = list(_bar(given, len(gold)))
    figures = ptbxl_super.score(rows, gold)
    for row in rows:
        row["gold"] = list(gold[row["ecg_id"]])
    return figures, rows, ptbxl_super.as_text(figures)


def _reports(bundle: Path, plan: Plan) -> _Outcome:
    assert plan.fold is not None
    asked = ptbxl_report.asked(plan.data, plan.fold, plan.pages, plan.limit)
    rows = _answers(bundle, asked, len(asked), plan)
    patients = ptbxl_report.patients_of(rows, plan.data)
    figures = ptbxl_report.score(rows, patients)
    figures["judge"] = judged(plan.judge, "report", rows, patients) if plan.judge else None
    return figures, [row.as_json() for row in rows], ptbxl_report.as_text(figures)


def _subset(bundle: Path, plan: Plan) -> _Outcome:
    subset = SUBSETS[plan.task]
    total = min(plan.limit or subset.rows, subset.rows)
    asked = islice(read.rows(subset, plan.data), plan.limit or None)
    rows = _answers(bundle, asked, total, plan)
    figures = scoring.score(subset, rows, part=plan.limit > 0)
    if plan.judge:
        figures["judge"] = judged(plan.judge, subset.kind, rows, [scoring.record_of(row.id) for row in rows])
    return figures, [row.as_json() for row in rows], scoring.as_text(figures)


def _answers(bundle: Path, asked: Iterable[Asked], total: int, plan: Plan) -> list[Answered]:
    return list(_bar(answers(bundle, asked, plan.pages.unconstrained, plan.workers), total))


def _bar(rows: Iterable[Any], total: int) -> Any:
    return tqdm(rows, "answers", total, unit="page", disable=None)  # no bar where nobody looks
