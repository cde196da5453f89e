"""`pulse-instruct`: a PTB-XL folder in, conversations about drawn pages out: PULSE's own JSON and WebDataset tars."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.commandline import Parser, run
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError
from pulse.instruct.plan import Look, Plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run("pulse-instruct", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if (args.rewrite is None) != (args.rewrite_model is None):
        raise UserError("--rewrite and --rewrite-model belong together; give both or none")
    # Drawing and packing need what --help does not.
    from tqdm import tqdm

    from pulse.instruct.endpoint import Endpoint
    from pulse.instruct.shards import write

    plan = Plan(
        folds=args.folds,
        count=args.conversations,
        seed=args.seed,
        per_shard=args.per_shard,
        limit=args.limit,
        look=Look(args.dpi, args.photo),
        rewrite=Endpoint(args.rewrite, args.rewrite_model) if args.rewrite else None,
    )
    out = Path(args.out)
    with tqdm(desc="shards", unit="shard", disable=None) as bar:
        for done, total in write(Path(args.data), out, plan, args.workers):
            bar.total = total
            bar.update(done - bar.n)
    print(_summary(out))
    return 0


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = Parser(
        prog="pulse-instruct",
        description="Make ECGInstruct from PTB-XL: pages and conversations about them. Run again to go on.",
    )
    parser.add_argument("data", metavar="DATA", help="PTB-XL as PhysioNet lays it out, with PTB-XL+'s 12SL tables")
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the shards and ECGInstruct.json")
    parser.add_argument("--folds", type=_folds, default=plan.folds, metavar="N,N", help="1 to 10 (1,2,3,4,5,6,7,8)")
    parser.add_argument(
        "--conversations", type=_count, default=plan.count, metavar="N", help="about each page (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=plan.seed, help="of looks and questions (%(default)s)")
    parser.add_argument("--dpi", type=_dpi, default=plan.look.dpi, help="of pages 272 mm wide (%(default)s)")
    parser.add_argument(
        "--photo", type=_share, default=plan.look.photo, metavar="SHARE", help="of pages photographed (%(default)s)"
    )
    parser.add_argument("--per-shard", type=_count, default=plan.per_shard, metavar="N", help="records (%(default)s)")
    parser.add_argument("--limit", type=_count, default=0, metavar="N", help="only the first N records")
    parser.add_argument("--workers", type=_count, default=usable_cores(), metavar="N", help="processes (%(default)s)")
    parser.add_argument("--rewrite", metavar="URL", help="OpenAI-compatible endpoint that words the answers anew")
    parser.add_argument("--rewrite-model", metavar="NAME", help="the model that it is asked for")
    return parser


def _summary(out: Path) -> str:
    from pulse.instruct.shards import LIST, tally

    made = tally(out / LIST)
    lines = [f"{out / LIST}: {made['conversations']} conversations about {made['images']} pages"]
    lines += [f"  {kind:28}{number:9,} turns" for kind, number in made["turns"].items()]
    if made["rewritten"]:
        lines.append(f"  {'worded by the endpoint':28}{made['rewritten']:9,} turns")
    return "\n".join(lines)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _folds(text: str) -> tuple[int, ...]:
    folds = tuple(_count(part) for part in text.split(","))
    if max(folds) > 10:
        raise argparse.ArgumentTypeError(f"{max(folds)} is no fold of PTB-XL, which has 1 to 10")
    return folds


def _share(text: str) -> float:
    return _number(text, 0, 1)


def _dpi(text: str) -> float:
    return _number(text, 25, 600)


def _number(text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
    return value


if __name__ == "__main__":
    sys.exit(main())
