"""`pulse-bench pages`: how many pages a second one core draws."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--rounds", type=count, default=5, metavar="N", help="rounds of 16 pages a kind (%(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Draw them; returns the JSON and the text."""
    from benchmarks.verbs import _pages

    figures = _pages.measure(args.rounds)
    return {"pages_per_second": figures}, _pages.as_text(figures)


VERB = Verb("pages drawn a second and core, beside matplotlib", add_arguments, run)
