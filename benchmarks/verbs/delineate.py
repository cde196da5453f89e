"""`pulse-bench delineate`: how near the onsets and offsets of P, QRS and T lie to those that cardiologists marked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count
from edge_runtime.errors import UserError


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--data", required=True, metavar="DIR", help="LUDB's folder: data/ and ludb.csv")
    parser.add_argument("--limit", type=count, metavar="N", help="the first N records only")
    parser.add_argument(
        "--folds", type=count, metavar="N", help="also train N networks, each scored on records that it has not seen"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Score the shipped network, seen records apart from unseen ones, and neurokit2's methods on the same leads."""
    from benchmarks.verbs import _delineate
    from pulse.ecg import ludb

    folder = Path(args.data)
    numbers = ludb.numbers(folder)[: args.limit]
    if args.folds is not None and not 2 <= args.folds <= len(numbers):
        raise UserError(f"--folds {args.folds} of {len(numbers)} records; give 2 to {len(numbers)}")
    rows = _delineate.measure([ludb.read(folder, number) for number in numbers], args.folds)
    return {"data": "LUDB", "records": numbers, "rows": rows}, _delineate.as_text(rows)


VERB = Verb("how near found waves lie to LUDB's marks, beside neurokit2's methods", add_arguments, run)
