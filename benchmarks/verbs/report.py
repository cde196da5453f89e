"""`pulse-bench report`: measure bundles, write the report, hold it against an earlier one."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.arguments import count, counts, words
from benchmarks.devices.profile import names, read_profile
from benchmarks.report.collect import Plan, collect
from benchmarks.report.compare import compare, read_report
from benchmarks.report.write import write
from benchmarks.sample import FOLD, SAMPLE
from benchmarks.verbs.retention import MARGIN
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError
from export.certificate.userland import PROCESSORS
from export.pages import example_pages
from pulse.checkpoint.checkpoint import NANO, Checkpoint


def add_verb(verbs: argparse._SubParsersAction[Any]) -> None:
    """`pulse-bench report`."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        "report", help="latency, memory, accuracy and what was kept of it: JSON, Markdown and one HTML file"
    )
    verb.add_argument("bundles", metavar="BUNDLE", nargs="+", help="folders that pulse-export wrote")
    verb.add_argument("--out", required=True, metavar="DIR", dest="folder", help="new folder for the report")
    verb.add_argument("--reference", default=NANO, metavar="MODEL", help="bundle or checkpoint (%(default)s, float32)")
    verb.add_argument("--device", action="append", metavar="D", help="as for latency; may be given again (local)")
    verb.add_argument(
        "--data", default=SAMPLE, metavar="DIR", help="PTB-XL folder (default: 150 records in the project)"
    )
    verb.add_argument("--fold", type=int, choices=range(1, 11), default=FOLD, metavar="N", help="(%(default)s)")
    verb.add_argument("--limit", type=count, default=0, metavar="N", help="only the fold's first N records")
    verb.add_argument(
        "--margin", type=float, default=MARGIN, metavar="F1", help="that may be lost (%(default)s points)"
    )
    verb.add_argument("--context", type=counts, default=(), metavar="N,N", help="positions to time prefill at as well")
    verb.add_argument("--tiles", type=counts, default=(), metavar="N,N", help="tiles of a page to time it with as well")
    verb.add_argument(
        "--estimate", type=words, default=(), metavar="D,D", help="device files by name or path; all: the project's"
    )
    verb.add_argument(
        "--emulated", choices=PROCESSORS, help="run onnx bundles on its kernels too (after make emulated)"
    )
    verb.add_argument("--rounds", type=count, default=5, metavar="N", help="fresh processes each (%(default)s)")
    verb.add_argument("--runs", type=count, default=5, metavar="N", help="warm readings a process (%(default)s)")
    verb.add_argument("--workers", type=count, default=usable_cores(), metavar="N", help="processes (%(default)s)")
    verb.add_argument("--compare", type=Path, metavar="OLD.json", help="exit 1 when something is worse, beyond noise")
    verb.add_argument("--json", action="store_true", help="print the report as JSON")
    verb.set_defaults(run=run, out=None)


def run(args: argparse.Namespace) -> tuple[dict[str, Any], str, int]:
    """Returns the report, what is printed, and the exit status: 1 when something is worse than in the earlier report.

    Raises UserError for wrong use, before anything is measured.
    """
    out, bundles = Path(args.folder), tuple(map(Path, args.bundles))
    if out.exists():
        raise UserError(f"{out}: already exists; remove it or give another --out")
    if len({bundle.name for bundle in bundles}) < len(bundles):
        raise UserError("two of the bundles' folders have the same name, by which the report tells them apart")
    earlier = None if args.compare is None else read_report(args.compare)
    reference = Path(args.reference)
    plan = Plan(
        bundles,
        reference if reference.is_dir() else Checkpoint.open(args.reference).folder,
        example_pages()[0],
        tuple(args.device or ("local",)),
        args.data,
        args.fold,
        args.limit,
        args.margin,
        args.rounds,
        args.runs,
        args.context,
        args.tiles,
        args.workers,
        tuple(map(read_profile, names() if args.estimate == ("all",) else args.estimate)),
        args.emulated is not None,
    )
    report = collect(plan, shlex.join(["pulse-bench", *sys.argv[1:]]), _watched)
    compared = None if earlier is None else compare(earlier, report)
    write(report, out, compared)
    lines = [f"{out / 'report.html'}: {len(bundles)} bundles on {', '.join(plan.devices)}"]
    if compared is not None:
        lines += [f"worse than before: {line}" for line in compared["regressions"]]
        lines += [f"note: {line}" for line in compared["notes"]]
        lines += [] if compared["regressions"] else ["nothing is worse than before, beyond noise"]
    return report, "\n".join(lines), int(bool(compared and compared["regressions"]))


def _watched(things: Any, title: str, total: int) -> Any:
    return tqdm(things, title, total, disable=None)
