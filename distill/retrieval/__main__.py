"""`python -m distill.retrieval`: train the embedding of similar cases, measure it, write the index."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from edge_runtime.files import replacing

NAME = "python -m distill.retrieval"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted."""
    return run(NAME, lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=NAME, description="Train the embedding of similar cases and write their index.")
    parser.add_argument("--run", required=True, metavar="DIR", help="the --out of a pulse-distill run")
    parser.add_argument("--data", required=True, metavar="DIR", help="PTB-XL's folder, for its reports")
    parser.add_argument("--checkpoint", default="pulse-nano", metavar="MODEL", help="what that run made (%(default)s)")
    parser.add_argument("--out", metavar="FILE", required=True, help="the index: cases.npz of a checkpoint folder")
    parser.add_argument("--steps", type=int, default=600, metavar="N", help="of 512 pages each (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same weights (%(default)s)")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.steps < 1 or args.threads < 1:
        raise UserError("--steps and --threads must be at least 1")
    out = Path(args.out)
    if not out.absolute().parent.is_dir():
        raise UserError(f"{out}: its folder does not exist; give another --out")

    import torch

    from distill.retrieval.data import Seen, Words, read_records, read_seen
    from distill.retrieval.index import case_arrays
    from distill.retrieval.table import table
    from distill.retrieval.training import Settings, train
    from edge_runtime.similar import CaseIndex
    from pulse.checkpoint.checkpoint import Checkpoint

    torch.set_num_threads(args.threads)
    folder, checkpoint = Path(args.run), Checkpoint.open(args.checkpoint)
    records = read_records(folder, Path(args.data))
    views = [read_seen(view, checkpoint) for view in sorted(folder.glob("features-[0-9]*"))]
    if not views:
        raise UserError(f"{folder} holds no features-0; give the --out of a pulse-distill run")
    seen = Seen(np.concatenate([view.pooled for view in views]), np.concatenate([view.rows for view in views]))
    plain = read_seen(folder / "features-plain", checkpoint)
    if set(seen.rows) & set(plain.rows):
        raise UserError(f"{folder}: records of the validation fold are among those trained on; run pulse-distill again")
    words = Words([records.reports[row] for row in np.unique(seen.rows)])
    started = time.perf_counter()
    net = train(seen, records, words, Settings(steps=args.steps, seed=args.seed))
    spent, known = time.perf_counter() - started, len(np.unique(seen.rows))
    print(f"trained on {len(seen.rows)} pages of {known} records: {spent:.0f} s")
    arrays, rows = case_arrays(net, words, seen, records, checkpoint.digest())
    with replacing(out) as aside, aside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    print(table(CaseIndex(out), rows, net, words, seen, plain, records))
    print(f"{out}: {len(rows)} cases, {out.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
