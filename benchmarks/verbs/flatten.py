"""`pulse-bench flatten`: how true the page reader's flat pages are, on pictures of which the truth is known."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="pictures (%(default)s)")
    parser.add_argument("--scene", type=int, default=0, metavar="SEED", help="of desks and cameras (%(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Photograph and read them; returns the JSON and the text."""
    from benchmarks.verbs import _flatten

    rows = _flatten.measure(args.limit, args.scene)
    figures = _flatten.figures(rows)
    return {"figures": figures, "pictures": rows}, _flatten.as_text(figures)


VERB = Verb("how true the page reader's flat pages are, in millimetres", add_arguments, run)
