"""`pulse-page`: a record of samples in, the picture of its page out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from pulse.ecg.paper.layouts import LAYOUTS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted."""
    return run("pulse-page", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    # Drawing needs OpenCV, which --help does not.
    import numpy as np
    from PIL import Image

    from pulse.ecg.paper.render import render
    from pulse.ecg.photo.photograph import photograph
    from pulse.ecg.read import read_record

    out = Path(args.out)
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: pages are written as PNG; give a name that ends in .png")
    leads = args.leads.split(",") if args.leads else None
    record = read_record(args.record, fs=args.fs, leads=leads, unit=args.unit, allow_missing=args.allow_missing)
    image = render(record, args.layout, dpi=args.dpi).image
    if args.photo is not None:
        image = photograph(image, np.random.default_rng(args.photo))
    try:
        Image.fromarray(image).save(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); give another --out") from None
    height, width = image.shape[:2]
    for repair in record.repairs:
        print(f"pulse-page: {repair}", file=sys.stderr)
    about = {"out": str(out), "width": width, "height": height, "layout": args.layout, "repairs": list(record.repairs)}
    print(json.dumps(about) if args.json else f"{out}: {width}x{height} pixels, layout {args.layout}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-page", description="Draw an ECG record as a page of ECG paper (PNG).")
    parser.add_argument("record", metavar="RECORD", help="WFDB (.hea, .dat or base name), .csv, .tsv or .npy")
    parser.add_argument("--out", metavar="FILE", required=True, help="the picture, a .png")
    parser.add_argument("--layout", choices=LAYOUTS, default="3x4+rhythm", help="where each lead stands (%(default)s)")
    parser.add_argument("--photo", type=int, metavar="SEED", help="photograph the page, effects drawn from this seed")
    parser.add_argument("--dpi", type=float, default=101.6, metavar="N", help="dots an inch of paper (%(default)s)")
    parser.add_argument("--fs", type=float, metavar="HZ", help="samples a second, where the file does not say")
    parser.add_argument("--leads", metavar="I,II,...", help="names of the leads, where the file does not say")
    parser.add_argument("--unit", metavar="UNIT", help="V, mV, uV or nV, where the file does not say (mV)")
    parser.add_argument("--allow-missing", action="store_true", help="draw lost samples as gaps instead of refusing")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
