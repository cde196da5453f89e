"""`python -m distill.delineator`: cross-validate the delineator on LUDB, train it on all records, write its weights."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from edge_runtime.files import replacing
from edge_runtime.waves.net import TRAINED_ON

NAME = "python -m distill.delineator"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted."""
    return run(NAME, lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=NAME, description="Train what finds P, QRS and T (edge_runtime/waves) on LUDB.")
    parser.add_argument("--ludb", required=True, metavar="DIR", help="LUDB's folder: data/ and ludb.csv")
    parser.add_argument(
        "--out", metavar="FILE", help="weights (.npz) of all records; without it only the folds are run"
    )
    parser.add_argument(
        "--folds", type=int, default=5, metavar="N", help="of cross-validation, 0 for none (%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=700, metavar="N", help="of 32 leads each (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same weights (%(default)s)")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.folds < 0 or args.folds == 1 or args.steps < 1 or args.threads < 1:
        raise UserError("--folds must be 0 or at least 2, --steps and --threads at least 1")
    if not args.out and not args.folds:
        raise UserError("--folds 0 without --out leaves nothing to do; give --out FILE")
    out = Path(args.out) if args.out else None
    if out and not out.absolute().parent.is_dir():
        raise UserError(f"{out}: its folder does not exist; give another --out")

    import torch

    from distill.delineator.examples import Leads
    from distill.delineator.scoring import table
    from distill.delineator.training import Settings, cross_validated, train
    from pulse.ecg import ludb

    torch.set_num_threads(args.threads)
    folder = Path(args.ludb)
    records = [ludb.read(folder, number) for number in ludb.numbers(folder)]
    settings = Settings(steps=args.steps, seed=args.seed)
    if args.folds:
        if args.folds > len(records):
            raise UserError(f"--folds {args.folds} of {len(records)} records; give fewer")
        print(f"cross-validation, {args.folds} folds of {len(records)} records; found minus marked:")
        print(table(cross_validated(records, settings, args.folds).figures()))
    if out:
        weights = train(Leads.of(records), settings, "all records")
        halves = {name: values.astype(np.float16) for name, values in weights.items()}
        halves[TRAINED_ON] = np.array([record.number for record in records])
        with replacing(out) as aside, aside.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **halves)
        print(f"{out}: weights of {len(records)} records, {out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
