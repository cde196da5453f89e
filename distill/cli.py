"""`pulse-distill`: a folder of ECG records in, a trained 4-bit student out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from distill.student import Student
from distill.students import STUDENTS
from distill.teacher import Teacher
from distill.teachers import TEACHERS, named
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError

LABELS = "labels"  # no teacher


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted (run it again to go on)."""
    return run("pulse-distill", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    student, teachers = _chosen(argv)
    args, unknown = _parser(student, teachers).parse_known_args(argv)
    if unknown:
        raise UserError(
            f"{' '.join(unknown)}: no option of pulse-distill or of its teachers; name one with --teacher, or see "
            "pulse-distill --help"
        )
    if args.limit < 0 or args.workers < 0:
        raise UserError("--limit and --workers must be 0 or more")
    if not 0 < args.tower_peak < 1:
        raise UserError(f"--tower-peak must lie between 0 and 1, not {args.tower_peak}")

    from distill.loop import pick_device
    from distill.recipe import Recipe, distill

    device = pick_device(args.device)
    student = _as_asked(student.for_device(device.type), args)
    recipe = Recipe(student, tuple(teacher.with_options(args) for teacher in teachers), args.limit)
    out = Path(args.out or f"out/{student.name}")
    small = distill(Path(args.data), out, recipe, device, args.accumulate)

    from accelerate import PartialState

    if PartialState().is_main_process:
        print(f"{small}: the 4-bit checkpoint; next: pulse-export {small} --target onnx")
    return 0


def _chosen(argv: Sequence[str] | None) -> tuple[Student, tuple[Teacher, ...]]:
    """The student and the teachers of a command line, which have defaults and options of their own."""
    parser = Parser(prog="pulse-distill", add_help=False)
    _add_choices(parser, ())
    args = parser.parse_known_args(argv)[0]
    student = STUDENTS.load(args.student)
    names = student.teachers if args.teacher is None else () if args.teacher == (LABELS,) else args.teacher
    return student, tuple(named(name) for name in names)


def _as_asked(student: Student, args: argparse.Namespace) -> Student:
    """The student with the command line's settings of its stages."""
    tower = replace(
        student.tower,
        epochs=args.tower_epochs,
        peak=args.tower_peak,
        seed=args.seed,
        workers=args.workers,
        start=args.start,
    )
    return replace(
        student, tower=tower, decoder=replace(student.decoder, epochs=args.decoder_epochs, seed=args.seed, qat=args.qat)
    )


def _add_choices(parser: argparse.ArgumentParser, teachers: Sequence[str]) -> None:
    """--student and --teacher; teachers: the student's own."""
    parser.add_argument(
        "--student", choices=STUDENTS.names(), default="nano", help=f"{', '.join(STUDENTS.names())} (%(default)s)"
    )
    parser.add_argument(
        "--teacher",
        type=_teachers,
        metavar="NAME[,NAME...]",
        help=f"who teaches besides the labels: {', '.join(TEACHERS.names())}, any MODEL, or several; {LABELS}: nobody "
        f"({', '.join(teachers) or LABELS})",
    )


def _parser(student: Student, teachers: Sequence[Teacher]) -> argparse.ArgumentParser:
    tower, decoder = student.tower, student.decoder
    parser = Parser(prog="pulse-distill", description="Train a student; run again to go on where it was cut off.")
    parser.add_argument("--data", metavar="DIR", required=True, help="PTB-XL as PhysioNet lays it out, records100")
    _add_choices(parser, student.teachers)
    parser.add_argument("--start", metavar="MODEL", help="checkpoint whose vision tower the training begins with")
    parser.add_argument("--out", metavar="DIR", help=f"run folder (out/{student.name})")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one (%(default)s)")
    parser.add_argument("--seed", type=int, default=tower.seed, help="of pages, order and weights (%(default)s)")
    parser.add_argument("--workers", type=int, default=tower.workers, help="processes that draw (%(default)s)")
    parser.add_argument(
        "--tower-epochs",
        type=_count_or_none,
        metavar="N",
        default=tower.epochs,
        help="of the tower; 0 keeps that of --start (%(default)s)",
    )
    parser.add_argument(
        "--tower-peak", type=float, metavar="RATE", default=tower.peak, help="highest learning rate (%(default)s)"
    )
    parser.add_argument(
        "--decoder-epochs", type=_count, metavar="N", default=decoder.epochs, help="of the decoder (%(default)s)"
    )
    parser.add_argument("--qat", metavar="SCHEME", type=_integer_scheme, help="train on with weights rounded so")
    parser.add_argument(
        "--accumulate", type=_count, default=1, metavar="N", help="parts that a batch is taken in (%(default)s)"
    )
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="use only N records a set, for a trial")
    for kind in {type(teacher): teacher for teacher in teachers}.values():
        kind.add_options(parser)
    return parser


def _teachers(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if "" in names or len(set(names)) < len(names) or (LABELS in names and len(names) > 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of different teachers; {LABELS} goes alone")
    return names


def _integer_scheme(text: str) -> str:
    from quantize.precision import SCHEMES
    from quantize.scheme import Scheme

    names = [name for name, scheme in SCHEMES.items() if isinstance(scheme, Scheme)]
    if text not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is no scheme of integers; use one of {', '.join(names)}")
    return text


def _count_or_none(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
