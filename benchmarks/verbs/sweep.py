"""`pulse-bench sweep`: the quantization sweep, each scheme and method against the float32 model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._arguments import count, words

FLOAT16, RTN = "float16", "rtn"
_EIGHT = "+vision=8+embeddings=8+head=8"
SCHEMES = (
    FLOAT16,
    "int8",
    *(f"int4-g{size}:{method}" for size in (32, 64, 128) for method in (RTN, "gptq", "awq")),
    "int4-g32-asym:rtn",
    "int4-g32-asym:gptq",
    "nf4",
    "int4-g32:rtn+vision=8",
    "int4-g32:rtn+embeddings=8",
    "int4-g32:rtn+head=8",
    "int4-g32:rtn+head=4",
    f"int4-g32:gptq{_EIGHT}",
)


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("model", metavar="MODEL", help="folder of a float checkpoint")
    parser.add_argument(
        "--pages", default="examples", metavar="PAGES", help="examples, folder, ptbxl:FOLDER for fold 9 (%(default)s)"
    )
    parser.add_argument("--records", type=count, default=64, metavar="N", help="so many of fold 9 (%(default)s)")
    parser.add_argument(
        "--calibration",
        default="examples",
        metavar="PAGES",
        help="for gptq and awq, as in pulse-quantize (%(default)s)",
    )
    parser.add_argument(
        "--schemes",
        type=words,
        default=SCHEMES,
        metavar="A,B",
        help="SCHEME[:METHOD][+PART=BITS]; default: " + ",".join(SCHEMES),
    )


def run(args: argparse.Namespace) -> Outcome:
    """Quantize and compare, scheme by scheme. Raises UserError for a scheme that does not exist."""
    from tqdm import tqdm

    from benchmarks.verbs import _sweep
    from pulse.checkpoint.checkpoint import Checkpoint
    from quantize.calibration import calibration_pages

    pages = calibration_pages(args.pages, (9,), args.records)
    rows = _sweep.sweep(Checkpoint.open(args.model), args.schemes, pages, args.calibration)
    steps = list(tqdm(rows, "schemes", len(args.schemes), disable=None))
    about = {"pages": args.pages, "calibration": args.calibration, "steps": [asdict(step) for step in steps]}
    return about, _sweep.as_text(steps)


VERB = Verb("what each way to quantize a float checkpoint costs, in bytes and error", add_arguments, run)
