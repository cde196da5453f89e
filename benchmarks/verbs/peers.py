"""`pulse-bench peers`: speed beside llama.cpp."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count, counts
from edge_runtime.cpus import usable_cores


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--layers", type=count, default=8, metavar="N", help="of the 7B's 32 (%(default)s)")
    parser.add_argument(
        "--prefill", type=counts, default=(256, 2880), metavar="N,N", help="prompt lengths, below 4,000 (256,2880)"
    )
    parser.add_argument("--decode", type=count, default=32, metavar="N", help="tokens after it (%(default)s)")
    parser.add_argument("--threads", type=count, default=usable_cores(), metavar="N", help="(%(default)s)")
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="of everything (%(default)s)")


def run(args: argparse.Namespace) -> Outcome:
    """Measure all engines in turn. Raises UserError when llama-cpp-python or gguf is missing."""
    from benchmarks.verbs import _peers

    plan = _peers.Plan(args.layers, args.prefill, args.decode, args.threads, args.rounds)
    result = _peers.measure(plan, lambda step: print(f"pulse-bench: {step}", file=sys.stderr))
    return {"plan": asdict(plan), **result}, _peers.as_text(result)


VERB = Verb("our 4-bit decoder beside llama.cpp's, the same integers in both, in turn", add_arguments, run)
