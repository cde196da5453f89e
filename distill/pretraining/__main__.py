"""`python -m distill.pretraining`: pre-train the signal teacher's encoder without labels, fine-tune it on a share of
the labels, add a row to the table. Run again to go on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill.pretraining.recipes import RECIPES
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    import torch

    from distill.pretraining.table import Size
    from distill.training_set import TrainingSet

NAME = "python -m distill.pretraining"
NONE, PLAIN = "none", "none-plain"  # from nothing: at the same compute, and at the cost of the fine-tuning alone
SIZES = ("small", "gpu")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run(NAME, lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=NAME, description="Pre-train on folds 1-8 without labels, fine-tune, measure on fold 9.")
    parser.add_argument("--data", required=True, metavar="DIR", help="PTB-XL as PhysioNet lays it out, records100")
    parser.add_argument(
        "--recipe",
        required=True,
        choices=[*RECIPES.names(), NONE, PLAIN],
        help=f"{', '.join(RECIPES.names())}; {NONE}: from nothing at the same compute; {PLAIN}: from nothing, for as "
        "long as the others are fine-tuned",
    )
    parser.add_argument(
        "--labels", type=_shares, default=(1.0, 0.1, 0.01), metavar="SHARES", help="of the patients (1.0,0.1,0.01)"
    )
    parser.add_argument("--size", choices=SIZES, default="small", help="small: two cores (%(default)s)")
    parser.add_argument("--pretraining-epochs", type=_count, metavar="N", help="instead of the size's own")
    parser.add_argument("--epochs", type=_count, metavar="N", help="of fine-tuning, instead of the size's own")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and the share of labels (%(default)s)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="use only N records a set, for a trial")
    parser.add_argument("--out", default="out/pretraining", metavar="DIR", help="run folder (%(default)s)")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.limit < 0 or args.seed < 0:
        raise UserError("--limit and --seed must be 0 or more")

    from distill.dataset_cache import build_dataset_cache
    from distill.loop import pick_device
    from distill.pretraining import table
    from distill.training_set import split
    from pulse.files.resume import check_same, write_recipe

    chosen = table.SIZES[args.size]
    size = replace(
        chosen, pretraining=args.pretraining_epochs or chosen.pretraining, epochs=args.epochs or chosen.epochs
    )
    out, settings = Path(args.out), {**vars(size), "channels": list(size.channels), "seed": args.seed}
    settings["limit"] = args.limit
    check_same(out, settings)
    try:
        data = split(build_dataset_cache(Path(args.data), out / "dataset-cache"), args.limit, size.batch)
        write_recipe(out, settings)
    except OSError as error:
        raise UserError(f"{out}: cannot write there ({error.strerror}); give another --out") from None
    measured = {(row["recipe"], row["labels"]) for row in table.read_rows(out / table.TABLE)}
    for share in args.labels:
        if (args.recipe, f"{share:g}") in measured:
            print(f"{out / table.TABLE}: has {args.recipe} with {share:g} of the labels already")
            continue
        row = _row(args, size, data, share, pick_device(args.device))
        table.write_row(out / table.TABLE, row)
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    return 0


def _row(
    args: argparse.Namespace, size: Size, data: TrainingSet, share: float, device: torch.device
) -> dict[str, object]:
    """Of the table, for one share of the labels."""
    from distill.pretraining import table
    from distill.pretraining.training import PretrainingRun, pretrain
    from distill.teacher import Workspace

    folder, start, minutes = Path(args.out) / args.recipe, None, 0.0
    rows = table.labelled(data, share, args.seed)
    enough, epochs = table.repeated(rows, size), size.epochs
    if args.recipe == NONE:
        epochs = table.equal_epochs(enough, size, len(data.train))
    elif args.recipe != PLAIN:
        own = PretrainingRun(size.channels, size.pretraining, size.batch, seed=args.seed)
        start = pretrain(RECIPES.load(args.recipe), data.cache.signals, data.train, own, folder, device)
        minutes = sum(float(one["seconds"]) for one in table.read_rows(folder / "pretraining.csv")) / 60
    found = table.measure(data, enough, size, epochs, args.seed, Workspace(folder / f"labels-{share:g}", device), start)
    figures = {name: f"{value:.4f}" for name, value in found.items() if name != "minutes"}
    spent = {"pretraining_minutes": f"{minutes:.1f}", "minutes": f"{found['minutes']:.1f}"}
    return {"recipe": args.recipe, "labels": f"{share:g}", "records": len(rows), **figures, "epochs": epochs, **spent}


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of shares above 0 and up to 1, such as 1.0,0.1")
    return found


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
