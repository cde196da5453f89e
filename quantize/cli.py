"""`pulse-quantize`: a float checkpoint in, its 4-bit (or 8-bit) checkpoint out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.files.memory import parse_size
from quantize.precision import BITS, DEFAULT_BITS, SCHEMES, Precision
from quantize.scheme import METHODS

if TYPE_CHECKING:
    from quantize.checkpoint import Summary

RTN, FLOAT16 = "rtn", "float16"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted."""
    return run("pulse-quantize", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    # Quantizing needs torch, which --help does not.
    from quantize.calibration import Calibration, calibration_pages
    from quantize.checkpoint import quantize_checkpoint
    from quantize.dequantize import dequantize_checkpoint

    source = Checkpoint.open(args.model, args.base)
    out = Path(args.out or f"{source.origin.name}-{args.scheme}")
    if args.scheme == FLOAT16:
        size = dequantize_checkpoint(source, out)
        print(json.dumps({"out": str(out), "bytes": size}) if args.json else f"{out}: {size / 1e6:.1f} MB of float16")
        return 0
    show = _show_progress if sys.stderr.isatty() else lambda name: None
    precision = Precision(args.scheme, {part: getattr(args, part) for part in BITS})
    calibration = None
    if args.method != RTN:
        if args.calibration is None:
            raise UserError(f"--method {args.method} needs pages to calibrate with; give --calibration")
        calibration = Calibration(args.method, calibration_pages(args.calibration))
    elif args.calibration is not None:
        raise UserError("--calibration goes with --method gptq or awq; rtn looks at no page")
    summary = quantize_checkpoint(source, out, precision, calibration, show, parse_size(args.max_memory))
    print(json.dumps(_as_json(out, args, summary)) if args.json else _as_text(out, summary))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-quantize", description="Quantize a checkpoint's weights.")
    parser.add_argument("model", metavar="MODEL", help="folder of a float checkpoint, or of a LoRA adapter")
    parser.add_argument("--base", metavar="MODEL", help="what a LoRA adapter was trained on (what it names)")
    parser.add_argument(
        "--scheme",
        choices=(*SCHEMES, FLOAT16),
        default="int4-g32",
        help="of the decoder; float16 makes a float checkpoint of a quantized one (%(default)s)",
    )
    parser.add_argument("--method", choices=(RTN, *METHODS), default=RTN, help="rtn: round to nearest (%(default)s)")
    parser.add_argument(
        "--calibration",
        metavar="PAGES",
        help="what gptq and awq look at: examples, ptbxl:FOLDER or a folder of pages (PNG, JPEG)",
    )
    for part, bits in BITS.items():
        note = "; 4: as the decoder" if 4 in bits else ""
        parser.add_argument(
            f"--{part}-bits",
            dest=part,
            type=int,
            choices=bits,
            default=DEFAULT_BITS[part],
            help=f"of the {part} (%(default)s{note})",
        )
    parser.add_argument("--out", metavar="DIR", help="new folder (default: ./MODEL-SCHEME)")
    parser.add_argument("--max-memory", metavar="SIZE", help="refuse at once what would take more, such as 6GB")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _show_progress(name: str) -> None:
    print(f"\r\033[K{name[:100]}", end="", file=sys.stderr, flush=True)


def _as_text(out: Path, summary: Summary) -> str:
    line = (
        f"{out}: {len(summary.quantized)} layers quantized, weights {summary.bytes_before / 1e6:.1f} -> "
        f"{summary.bytes_after / 1e6:.1f} MB"
    )
    kept = f"; left in float16: {', '.join(summary.kept)}" if summary.kept else ""
    return f"{line}{kept}\n{summary.meter.as_text()}"


def _as_json(out: Path, args: argparse.Namespace, summary: Summary) -> dict[str, object]:
    return {
        "out": str(out),
        "scheme": args.scheme,
        "method": args.method,
        "bits": {part: getattr(args, part) for part in BITS},
        "quantized": list(summary.quantized),
        "kept": list(summary.kept),
        "bytes_before": summary.bytes_before,
        "bytes_after": summary.bytes_after,
        "memory": summary.meter.as_json(),
    }


if __name__ == "__main__":
    sys.exit(main())
