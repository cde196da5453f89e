"""`pulse-bench digitize`: how near the signals read from pages come to the records that the pages show."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count
from edge_runtime.errors import UserError


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--limit", type=count, default=40, metavar="N", help="pages (%(default)s)")
    parser.add_argument("--scene", type=int, metavar="SEED", help="photograph the drawn pages on desks")
    parser.add_argument("--data", metavar="DIR", help="pictures, and beside each its record: NAME.jpg and NAME.hea")


def run(args: argparse.Namespace) -> Outcome:
    """Read pages of every layout, drawn from the project's records or of one's own; returns the JSON and the text."""
    from benchmarks.verbs import _digitize

    if args.data is not None and args.scene is not None:
        raise UserError("--scene is of drawn pages; leave it out beside --data")
    if args.data is None:
        rows = _digitize.drawn(args.limit, args.scene)
    else:
        rows = _digitize.pictures(Path(args.data), args.limit)
    figures = _digitize.figures(rows)
    return {"figures": figures, "pages": rows}, _digitize.as_text(figures)


VERB = Verb("how near signals read from pages come to the records", add_arguments, run)
