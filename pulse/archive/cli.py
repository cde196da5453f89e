"""`pulse-read`: a folder, tar or list of scans and records in, Parquet out."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from edge_runtime.bundle import NANO, Bundle, Provenance
from edge_runtime.commandline import Parser, run
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError
from pulse.archive.places import Folder, is_url
from pulse.files.folder import alone

if TYPE_CHECKING:
    from pulse.archive.parts import Parts
    from pulse.archive.reading import Row
    from pulse.archive.sources import Input

_BATCH = 8  # inputs that go to another machine together: the cluster's cost of a batch is some milliseconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run("pulse-read", lambda: _main(argv))


@dataclass
class _Counts:
    inputs: int = 0
    pages: int = 0
    refused: int = 0
    failed: int = 0


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if args.part < 1 or (args.processes is not None and args.processes < 1):
        raise UserError("--processes and --part must be 1 or more")
    if args.ray and args.processes:
        raise UserError("--processes is of this machine, and a Ray cluster has cores of its own; give one of them")
    # These bring what the extra installs: one that is missing is told before anything else.
    from pulse.archive.parts import Parts
    from pulse.archive.sources import inputs

    # Both before there is anything at --out.
    served = Bundle.load(args.bundle).provenance
    source = os.path.abspath(args.source) if args.ray and not is_url(args.source) else args.source
    rest = inputs(source)
    first = next(rest, None)
    if first is None:
        raise UserError(f"{args.source}: holds no picture, PDF or record; give another folder")
    with contextlib.ExitStack() as stack:
        if not is_url(args.out):
            stack.enter_context(alone(args.out))
        settings = {"bundle": served.name, "manifest": served.digest, "question": args.question}
        about = {**settings, "question": args.question or "", "notice": served.notice}
        if args.measure:
            settings["measure"] = True
        parts = Parts(Folder(args.out), settings, about)
        return _read(args, served, parts, chain([first], rest))


def _read(args: argparse.Namespace, served: Provenance, parts: Parts, found_there: Iterator[Input]) -> int:
    from tqdm import tqdm

    from pulse.archive.reading import Row

    already = len(parts.done)
    pending = (one for one in found_there if one.name not in parts.done)
    counts, rows, started = _Counts(), list[Row](), time.perf_counter()
    waiting = 0
    # Ray tells on stdout of nodes that are gone, and there the one line or object of the command belongs.
    with contextlib.redirect_stdout(sys.stderr), tqdm(desc="pages", unit="page", disable=None) as bar:
        try:
            for found in _found(pending, args, served.digest):
                rows += found
                waiting += 1
                counts.inputs += 1
                counts.pages += len(found)
                counts.refused += sum(row.refused for row in found)
                counts.failed += sum(row.error is not None for row in found)
                bar.update(len(found))
                if waiting == args.part:
                    parts.write(rows)
                    rows, waiting = [], 0
        finally:  # after Ctrl-C too: what is read need not be read again
            if rows:
                parts.write(rows)
    seconds = time.perf_counter() - started
    said = {"out": args.out, "already": already, **vars(counts), "pages_per_s": counts.pages / seconds}
    print(json.dumps(said) if args.json else _as_text(args.out, already, counts, seconds))
    return 0


def _found(pending: Iterator[Input], args: argparse.Namespace, manifest: str) -> Iterator[list[Row]]:
    """The rows of each input, as they are done."""
    from pulse.archive.reading import begin, failed
    from pulse.runner import run, run_in

    bundle = args.bundle if args.bundle == NANO else os.path.abspath(args.bundle)
    work = partial(begin, bundle, manifest, args.question, args.measure)

    def lost(one: Input) -> list[Row]:
        return [failed(one, "failed (it took the process that read it down)")]

    if args.ray is None:
        return run(pending, work, args.processes or usable_cores(), lost)
    from pulse.cluster import Cluster

    return run_in(Cluster(work, args.ray, _BATCH), pending, lost)


def _as_text(out: str, already: int, counts: _Counts, seconds: float) -> str:
    before = f" ({already} were read before)" if already else ""
    return (
        f"{out}: {counts.inputs} inputs{before}, {counts.pages} pages, {counts.pages / seconds:.1f} a second; "
        f"{counts.refused} do not look like an ECG, {counts.failed} could not be read (columns refused and error)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pulse-read",
        description="Read an archive of scans, PDFs and records to Parquet, a row a page. Run again to go on.",
    )
    parser.add_argument("source", metavar="SOURCE", help="a folder, a tar or a text file of paths, here or at a URL")
    parser.add_argument("--out", metavar="DIR", required=True, help="for the Parquet files: a folder here or at a URL")
    parser.add_argument("--bundle", metavar="BUNDLE", default=NANO, help="who reads (%(default)s)")
    parser.add_argument("--question", metavar="TEXT", help="what is asked of each page (the bundle's own)")
    parser.add_argument("--measure", action="store_true", help="measure each page as well: rate, intervals and axes")
    parser.add_argument("--processes", type=int, metavar="N", help=f"that read, a session each ({usable_cores()})")
    parser.add_argument("--ray", metavar="ADDRESS", help="read on a Ray cluster: its head's HOST:PORT, or auto")
    parser.add_argument("--part", type=int, metavar="N", default=500, help="inputs a Parquet file (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser
