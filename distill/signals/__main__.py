"""`python -m distill.signals`: the network that reads a recording's own signals beside its drawn page."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from edge_runtime.files import replacing

NAME = "python -m distill.signals"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run(NAME, lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=NAME, description="Train the network of signals, and calibrate it beside a bundle.")
    parser.add_argument("--data", metavar="DIR", required=True, help="PTB-XL as PhysioNet lays it out, records100")
    parser.add_argument("--out", metavar="DIR", required=True, help="run folder; run again to go on")
    parser.add_argument("--bundle", metavar="BUNDLE", default="pulse-nano", help="that sees the pages (%(default)s)")
    parser.add_argument("--checkpoint", metavar="DIR", required=True, help="its checkpoint, which gets both files")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="(%(default)s)")
    parser.add_argument("--signal-epochs", type=int, default=5, metavar="N", help="of the teacher (%(default)s)")
    parser.add_argument("--signal-parts", type=int, default=3, metavar="N", help="networks of it (%(default)s)")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="use only N records a set, for a trial")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.epochs < 1 or args.limit < 0:
        raise UserError("--epochs must be 1 or more and --limit 0 or more")
    import torch

    from distill.dataset_cache import build_dataset_cache
    from distill.loop import pick_device
    from distill.signals.calibration import calibrated
    from distill.signals.net import exported
    from distill.signals.training import SignalRun, train
    from distill.teacher import Workspace
    from distill.teachers.signal import TEACHER
    from distill.teaching import kept_probabilities
    from distill.training_set import split
    from edge_runtime.session import Session
    from edge_runtime.signal_net import FILE, SignalNet, save
    from pulse.checkpoint.checkpoint import CONFIG, Checkpoint

    out, device, checkpoint = Path(args.out), pick_device(), Checkpoint.open(args.checkpoint)
    recipe = SignalRun(epochs=args.epochs)
    data = split(build_dataset_cache(Path(args.data), out / "dataset-cache"), args.limit, recipe.batch)
    teacher = replace(TEACHER, epochs=args.signal_epochs, parts=args.signal_parts)
    teacher.check()
    soft = kept_probabilities(teacher, data, Workspace(out / "teacher-1", device))
    net = train(data, recipe, out, device, soft)
    columns = data.targets.columns
    labels = tuple(spec.label for spec in checkpoint.config.inference.findings if spec.label in columns)
    path = checkpoint.folder / FILE
    with replacing(path) as aside, torch.no_grad():
        save(aside, exported(net.cpu(), [columns[label] for label in labels]), labels, checkpoint.digest())
    print(
        calibrated(Session.open(args.bundle), SignalNet(path), data, checkpoint.folder / CONFIG, out / "page-odds.npy")
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
