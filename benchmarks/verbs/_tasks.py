"""Arguments of the verbs that ask a task's questions: the task, its data, its own options, and how many are asked."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.sample import SAMPLE
from benchmarks.task import Task
from benchmarks.tasks import TASKS
from benchmarks.verbs._arguments import count
from edge_runtime.commandline import Parser
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError


def add_task(parser: argparse.ArgumentParser, argv: Sequence[str], default: str | None = None) -> None:
    """--task, --data, --limit, --workers, and the options of the task that argv names: `--task T --help` shows them."""
    parser.add_argument(
        "--task",
        choices=TASKS.names(),
        metavar="TASK",
        default=default,
        required=default is None,
        help=f"%(choices)s{' (%(default)s)' if default else ''}; --task TASK --help shows its options",
    )
    named = _named(argv, parser.prog) or default
    task = TASKS.load(named) if named in TASKS.names() else None
    parser.add_argument("--data", metavar="DIR", help=_data_help(task))
    parser.add_argument("--limit", type=count, default=0, metavar="N", help="only the first N")
    parser.add_argument("--workers", type=count, default=usable_cores(), metavar="N", help="processes (%(default)s)")
    if task is not None:
        task.add_arguments(parser.add_argument_group(f"task {named}", task.title))


def _named(argv: Sequence[str], prog: str) -> str | None:
    """The value of --task, before all of the command line can be understood."""
    first = Parser(prog=prog, add_help=False)
    first.add_argument("--task")
    named: str | None = first.parse_known_args(list(argv))[0].task
    return named


def _data_help(task: Task | None) -> str:
    if task is None:
        return "the task's data"
    return task.data + ("; default: 150 records that come with the project" if task.sample else "")


def data_of(task: Task, args: argparse.Namespace) -> str:
    """--data, or the project's records. Raises UserError where neither is there."""
    if args.data is None and not task.sample:
        raise UserError(f"{args.task} needs --data: {task.data}")
    return SAMPLE if args.data is None else str(args.data)


def watched(things: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    """With a bar on stderr, none where nobody looks."""
    from tqdm import tqdm

    bar: Iterable[Any] = tqdm(things, title, total, disable=None)
    return bar
