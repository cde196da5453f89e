"""`pulse-bench serve`: what a server costs beside its session, and whether many clients lose anything."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", default="pulse-nano", help="to serve (%(default)s)")
    parser.add_argument("--clients", type=count, default=16, metavar="N", help="at once (%(default)s)")
    parser.add_argument("--requests", type=count, default=400, metavar="N", help="of all of them (%(default)s)")
    parser.add_argument("--threads", type=count, metavar="N", help="of the model (every physical core)")


def run(args: argparse.Namespace) -> Outcome:
    """Start a server on loopback and ask it; returns the JSON and the text, exit status 1 if an answer is wrong."""
    from benchmarks.verbs import _serve

    found = _serve.measure(args.bundle, args.clients, args.requests, args.threads)
    return found, _serve.as_text(found), 0 if found["wrong"] == 0 else 1


VERB = Verb("a server's overhead, and its answers to many clients at once", add_arguments, run)
