"""`pulse-bench accuracy`: asks a bundle a task's questions and scores its answers; one function for every task."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.sample import data_folder
from benchmarks.tasks import TASKS
from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._tasks import add_task, data_of, watched
from edge_runtime.bundle import NANO, Bundle

if TYPE_CHECKING:
    from benchmarks.subjects.subject import Subject


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="pulse-nano, a folder that pulse-export wrote, or a checkpoint's"
    )
    add_task(parser, argv)
    parser.add_argument(
        "--unconstrained", action="store_true", help="any words in answer, as PULSE's evaluation has it"
    )
    parser.add_argument(
        "--flatten",
        action=argparse.BooleanOptionalAction,
        help="flatten photographs of pages before the model looks at them (default: the bundle's)",
    )


def run(args: argparse.Namespace) -> Outcome:
    """Ask and score. Raises UserError for wrong use and for data that cannot be read."""
    from benchmarks.subjects.answers import answers

    task, subject = TASKS.load(args.task), replace(_subject(args.bundle), flatten=args.flatten)
    told = subject.about()
    about: dict[str, Any] = {
        "task": args.task,
        "model": told["name"],
        "target": told["target"],
        "bundle": {"name": told["folder"], "sha256": told["sha256"]},
        "unconstrained": args.unconstrained,
        "flatten": args.flatten,
        "limit": args.limit,
        "workers": args.workers,
        **task.about(args),
    }
    with data_folder(data_of(task, args)) as data:
        questions = task.ask(data, args)
        started = time.monotonic()
        given = answers(subject, questions.asked, args.unconstrained, args.workers)
        rows = list(watched(given, "answers", questions.total))
        seconds = time.monotonic() - started
    figures = task.score(rows, args)
    text = f"{task.as_text(figures)}\n  {len(rows) / seconds:.1f} pages a second with {args.workers} processes"
    answered = [row.as_json() for row in rows]
    return {**about, "seconds": round(seconds, 1), "figures": figures, "answers": answered}, text


def _subject(name: str) -> Subject:
    """BUNDLE pulse-nano is the shipped bundle, as for every command; MODEL pulse-nano is its checkpoint."""
    from benchmarks.subjects.subject import Subject

    return Subject(Bundle.load(name)) if name == NANO else Subject.open(name)


VERB = Verb("answers in words against a data set's labels, scored as PULSE does", add_arguments, run)
