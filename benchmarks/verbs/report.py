"""`pulse-bench report`: measure bundles, write the report, hold it against an earlier one."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.estimate.profile import names, read_profile
from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count, counts, page_of, words
from benchmarks.verbs._simulated import add_simulated, check_subjects
from benchmarks.verbs._tasks import add_task, watched
from benchmarks.verbs.retention import DEFAULT
from edge_runtime.bundle import Bundle
from edge_runtime.errors import UserError


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="pulse-nano, or folders that pulse-export wrote")
    parser.add_argument("--out", required=True, metavar="DIR", dest="folder", help="new folder for the report")
    parser.add_argument(
        "--reference", default="pulse-nano", metavar="MODEL", help="bundle or checkpoint (%(default)s, float32)"
    )
    parser.add_argument("--device", action="append", metavar="D", help="as for latency; may be given again (local)")
    add_task(parser, argv, DEFAULT)
    parser.add_argument(
        "--margin", type=float, metavar="POINTS", help="of the task's headline that may be lost (default: the task's)"
    )
    parser.add_argument(
        "--context", type=counts, default=(), metavar="N,N", help="positions to time prefill at as well"
    )
    parser.add_argument(
        "--tiles", type=counts, default=(), metavar="N,N", help="tiles of a page to time it with as well"
    )
    parser.add_argument(
        "--estimate", type=words, default=(), metavar="D,D", help="device files by name or path; all: the project's"
    )
    parser.add_argument(
        "--emulated", choices=("aarch64",), help="run onnx bundles on its kernels too (after make emulated)"
    )
    add_simulated(parser)
    parser.add_argument("--rounds", type=count, default=5, metavar="N", help="fresh processes each (%(default)s)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="warm readings a process (%(default)s)")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="exit 1 when something is worse, beyond noise")


def run(args: argparse.Namespace) -> Outcome:
    """Returns the report, what is printed, and the exit status: 1 when something is worse than in the earlier report.

    Raises UserError for wrong use, before anything is measured.
    """
    from benchmarks.report.collect import Plan, changed_pages, collect
    from benchmarks.report.compare import compare, read_report
    from benchmarks.report.write import write
    from benchmarks.subjects.subject import Subject

    out, bundles = Path(args.folder), tuple(map(Path, args.bundles))
    if out.exists():
        raise UserError(f"{out}: already exists; remove it or give another --out")
    if len({bundle.name for bundle in bundles}) < len(bundles):
        raise UserError("two of the bundles' folders have the same name, by which the report tells them apart")
    earlier = None if args.compare is None else read_report(args.compare)
    plan = Plan(
        tuple(map(Bundle.load, bundles)),
        Subject.open(args.reference),
        page_of(None),
        args,
        tuple(args.device or ("local",)),
        args.rounds,
        args.runs,
        args.context,
        args.tiles,
        tuple(map(read_profile, names() if args.estimate == ("all",) else args.estimate)),
        args.emulated is not None,
    )
    check_subjects([plan.reference, *map(Subject, plan.bundles)], args.simulated)
    report = collect(plan, shlex.join(["pulse-bench", *sys.argv[1:]]), watched)
    compared = None if earlier is None else compare(earlier, report)
    write(report, out, changed_pages(plan, report), compared)
    lines = [f"{out / 'report.html'}: {len(bundles)} bundles on {', '.join(plan.devices)}"]
    if compared is not None:
        lines += [f"worse than before: {line}" for line in compared["regressions"]]
        lines += [f"note: {line}" for line in compared["notes"]]
        lines += [] if compared["regressions"] else ["nothing is worse than before, beyond noise"]
    return report, "\n".join(lines), int(bool(compared and compared["regressions"]))


VERB = Verb(
    "latency, memory, accuracy and what was kept of it: JSON, Markdown and one HTML file", add_arguments, run, True
)
