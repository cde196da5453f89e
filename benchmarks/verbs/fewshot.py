"""`pulse-bench fewshot`: how well a finding is learnt from a few marked pages, on statements nobody taught."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count, counts, words

# 12SL statements of PTB-XL+ with no like among PTB-XL's codes, and too rare to be targets of distill.targets.
STATEMENTS = ("CRVI", "JUNCT-R", "PULD", "QRST", "QRSW", "VAVB")


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="pulse-nano, or a folder that pulse-export wrote")
    parser.add_argument("--data", metavar="DIR", required=True, help="PTB-XL as PhysioNet lays it out, with PTB-XL+")
    parser.add_argument(
        "--statements",
        type=words,
        metavar="S,S",
        default=STATEMENTS,
        help=f"SCP codes or 12SL statements ({','.join(STATEMENTS)})",
    )
    parser.add_argument("--shots", type=counts, metavar="K,K", default=(1, 5, 10, 20), help="pages with it (1,5,10,20)")
    parser.add_argument("--draws", type=count, default=30, metavar="N", help="of the pages for each K (%(default)s)")
    parser.add_argument(
        "--limit", type=count, default=1000, metavar="N", help="pages of fold 9 without any of them (%(default)s)"
    )
    parser.add_argument(
        "--pages", type=count, default=1000, metavar="N", help="unlabelled pages of folds 1 to 8 (%(default)s)"
    )
    parser.add_argument("--features", metavar="NPZ", help="keep what the tower says there, and go on from it")
    parser.add_argument("--background", metavar="NPZ", help="write what pulse-adapt needs of a model")
    parser.add_argument("--threads", type=count, metavar="N", help="default: every physical core")


def run(args: argparse.Namespace) -> Outcome:
    """Draw pages, look at them, learn and score; returns the JSON and the text."""
    from benchmarks.verbs import _fewshot

    kept = None if args.features is None else Path(args.features)
    pool = _fewshot.pool(args.bundle, Path(args.data), args.statements, args.limit, args.pages, kept, args.threads)
    if args.background is not None:
        pool.background.save(Path(args.background))
    figures = _fewshot.figures(pool, args.shots, args.draws)
    return figures, _fewshot.as_text(figures)


VERB = Verb("how well findings are learnt from a few marked pages", add_arguments, run)
