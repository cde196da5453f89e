"""`pulse-read`: a folder, tar or list of scans and records in, Parquet out."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.bundle import NANO, Bundle, sha256_file
from edge_runtime.commandline import Parser, run
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError


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
    if args.processes < 1 or args.part < 1:
        raise UserError("--processes and --part must be 1 or more")
    from tqdm import tqdm

    from pulse.archive.parts import Parts
    from pulse.archive.reading import Row
    from pulse.archive.runner import read_all
    from pulse.archive.sources import inputs

    bundle = Bundle.load(args.bundle)
    manifest = sha256_file(bundle.folder / "manifest.json")
    settings = {"bundle": bundle.manifest.name, "manifest": manifest, "question": args.question}
    about = {**settings, "question": args.question or "", "notice": bundle.manifest.inference.notice}
    parts = Parts(Path(args.out), settings, about)
    already = len(parts.done)
    pending = (one for one in inputs(Path(args.source)) if one.name not in parts.done)
    counts, rows, started = _Counts(), list[Row](), time.perf_counter()
    waiting = 0
    with tqdm(desc="pages", unit="page", disable=None) as bar:
        try:
            for found in read_all(pending, args.bundle, args.question, args.processes):
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
    if not counts.inputs and not already:
        raise UserError(f"{args.source}: holds no picture, PDF or record; give another folder")
    said = {"out": args.out, "already": already, **vars(counts), "pages_per_s": counts.pages / seconds}
    print(json.dumps(said) if args.json else _as_text(args.out, already, counts, seconds))
    return 0


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
    parser.add_argument("source", metavar="SOURCE", help="a folder, a tar, or a text file with a path on each line")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the Parquet files")
    parser.add_argument("--bundle", metavar="BUNDLE", default=NANO, help="who reads (%(default)s)")
    parser.add_argument("--question", metavar="TEXT", help="what is asked of each page (the bundle's own)")
    parser.add_argument(
        "--processes", type=int, metavar="N", default=usable_cores(), help="that read, a session each (%(default)s)"
    )
    parser.add_argument("--part", type=int, metavar="N", default=500, help="inputs a Parquet file (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser
