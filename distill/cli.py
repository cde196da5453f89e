"""`pulse-distill`: a folder of ECG records in, a trained 4-bit student out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState

from distill.loop import pick_device
from distill.recipe import Recipe, distill, recipe_of
from distill.students import STUDENTS
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from quantize.integers import Scheme
from quantize.on_load import BITS
from quantize.precision import SCHEMES

SIGNAL, LABELS = "signal", "labels"
QAT = tuple(name for name, scheme in SCHEMES.items() if isinstance(scheme, Scheme))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run("pulse-distill", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if args.limit < 0 or args.workers < 0:
        raise UserError("--limit and --workers must be 0 or more")
    language = tuple(name for name in args.teacher if name not in (SIGNAL, LABELS))
    if args.teacher_bits is not None and not language:
        raise UserError("--teacher-bits holds a checkpoint that teaches in so many bits; name one with --teacher")
    device = pick_device(args.device)
    base = recipe_of(args.student, device)
    recipe = replace(
        base,
        signal=base.signal if SIGNAL in args.teacher else None,
        language=language,
        teacher_bits=args.teacher_bits,
        tower=replace(
            base.tower,
            epochs=args.tower_epochs or base.tower.epochs,
            seed=args.seed,
            workers=args.workers,
            start=args.start,
        ),
        decoder=replace(base.decoder, epochs=args.decoder_epochs or base.decoder.epochs, seed=args.seed, qat=args.qat),
        limit=args.limit,
    )
    small = distill(
        Path(args.data),
        Path(args.out or f"out/{STUDENTS[args.student].name}"),
        recipe,
        device,
        args.accumulate,
    )
    if PartialState().is_main_process:
        print(f"{small}: the 4-bit checkpoint; next: pulse-export {small} --target onnx")
    return 0


def _parser() -> argparse.ArgumentParser:
    base = Recipe()
    parser = Parser(prog="pulse-distill", description="Train a student; run again to go on where it was cut off.")
    parser.add_argument("--data", metavar="DIR", required=True, help="PTB-XL as PhysioNet lays it out, records100")
    parser.add_argument(
        "--teacher",
        type=_teachers,
        default=(SIGNAL,),
        metavar="NAME[,NAME...]",
        help="besides the labels: signal, a network that reads the leads; any checkpoint; several. labels: nobody "
        "(signal)",
    )
    parser.add_argument(
        "--teacher-bits", type=int, choices=BITS, help="hold a teacher's decoder in NF4 or LLM.int8(), by bitsandbytes"
    )
    parser.add_argument("--start", metavar="MODEL", help="checkpoint whose vision tower the training begins with")
    parser.add_argument(
        "--student", choices=STUDENTS, default="nano", help="small: SmolLM2-135M behind an ImageNet tower (%(default)s)"
    )
    parser.add_argument("--out", metavar="DIR", help="run folder (out/pulse-STUDENT)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one (%(default)s)")
    parser.add_argument("--seed", type=int, default=base.tower.seed, help="of pages, order and weights (%(default)s)")
    parser.add_argument("--workers", type=int, default=base.tower.workers, help="processes that draw (%(default)s)")
    parser.add_argument("--tower-epochs", type=_count, metavar="N", help=f"(nano: {base.tower.epochs})")
    parser.add_argument("--decoder-epochs", type=_count, metavar="N", help=f"(nano: {base.decoder.epochs})")
    parser.add_argument("--qat", metavar="SCHEME", choices=QAT, help=f"train on with rounded weights: {', '.join(QAT)}")
    parser.add_argument(
        "--accumulate", type=_count, default=1, metavar="N", help="parts that a batch is taken in (%(default)s)"
    )
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="use only N records a set, for a trial")
    return parser


def _teachers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if "" in names or len(set(names)) < len(names) or (LABELS in names and len(names) > 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different teachers; labels goes alone")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
