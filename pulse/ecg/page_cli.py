"""`pulse-page`: a record in, the picture of its page out; or a photograph in, the flat page and its signals out."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from edge_runtime.page.layouts import LAYOUTS, PLAIN
from pulse.ecg.paper.families import FAMILIES

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".pdf")
_SCALES = ("mm_per_s", "mm_per_mv")
_DRAWING = ("family", "seed", "photo", "scene", "dpi", "fs", "leads", "unit", "allow_missing")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted."""
    return run("pulse-page", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    parser = _parser()
    args = parser.parse_args(argv)
    if Path(args.source.split("#")[0]).suffix.lower() not in PICTURES:
        return _draw(args)
    for name in _DRAWING:
        if getattr(args, name) != parser.get_default(name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{args.source}: is a picture, and {option} belongs to a record; leave it out")
    return _flatten(args)


def _flatten(args: argparse.Namespace) -> int:
    from edge_runtime import image, pages
    from edge_runtime.page import found
    from edge_runtime.page.flatten import PX_PER_MM, flatten
    from edge_runtime.page.reading import as_json, read
    from pulse.files.folder import new_folder

    if args.signals is None:
        for name in ("layout", *_SCALES):
            if getattr(args, name) is not None:
                raise UserError(
                    f"--{name.replace('_', '-')} of a picture is for its signals; give --signals DIR, or leave it out"
                )
    if args.signals is None and args.out is None:
        raise UserError(f"{args.source}: give --out DIR for the flat page, --signals DIR for its signals, or both")
    picture = image.load(args.source)
    if more := pages.note(args.source):
        print(f"pulse-page: {more}", file=sys.stderr)
    reading = read(picture)
    grid = reading.grid
    flat = flatten(picture, grid) if reading.flat is None and grid is not None else reading.flat
    if args.signals is not None:
        from pulse.ecg import page_signals

        known = {name: getattr(args, name) for name in ("layout", *_SCALES)}
        folder = Path(args.signals)
        found_signals = page_signals.write(args.source, picture, flat, folder, **known)
        if args.json:
            print(json.dumps({"signals": str(folder), **page_signals.as_json(args.source, found_signals)}))
        else:
            print(page_signals.as_text(folder, found_signals))
        if args.out is None:
            return 0
    out = Path(args.out)
    size = {"width": picture.width, "height": picture.height}
    about = {"source": Path(args.source).name, **size, **as_json(reading, flat)}
    with new_folder(out) as part:
        found.draw(picture, flat).save(part / "found.jpg", quality=90)
        reading.picture.save(part / "seen.png")
        if flat is not None:
            flat.page.save(part / "page.png")
        (part / "reading.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps({"out": str(out), **about}))
    elif grid is None or flat is None:
        print(f"{out}: no grid was found; the picture goes on as it is")
    else:
        width, height = (side / PX_PER_MM for side in flat.page.size)
        lies = "; it lies flat, and goes on as it is" if reading.flat is None else ""
        print(
            f"{out}: a page of {width:.0f} x {height:.0f} mm, {grid.px_per_mm:.2f} pixels a mm, turned by "
            f"{grid.turned:.0f} degrees{lies}"
        )
    return 0


def _draw(args: argparse.Namespace) -> int:
    # Drawing needs OpenCV, which --help and photographs do not.
    import numpy as np
    from PIL import Image

    from pulse.ecg.paper.variety import drawn_page
    from pulse.ecg.photo.photograph import photograph
    from pulse.ecg.photo.scene.shoot import shoot
    from pulse.ecg.read import read_record

    for name in ("signals", *_SCALES):
        if getattr(args, name) is not None:
            raise UserError(
                f"{args.source}: is a record, and --{name.replace('_', '-')} belongs to a picture; leave it out"
            )
    if args.out is None:
        raise UserError(f"{args.source}: a record is drawn into a file; give --out FILE.png")
    out = Path(args.out)
    if args.seed is not None and (args.family is None or args.seed < 0):
        raise UserError("--seed is of a family's look, 0 or more; give --family with it, or leave it out")
    if out.suffix.lower() != ".png":
        raise UserError(f"{out}: pages are written as PNG; give a name that ends in .png")
    leads = args.leads.split(",") if args.leads else None
    record = read_record(args.source, fs=args.fs, leads=leads, unit=args.unit, allow_missing=args.allow_missing)
    page = drawn_page(record, args.family, args.layout, args.seed or 0, args.dpi)
    image = page.image
    if args.scene is not None:
        image = shoot(image, page.px_per_mm, np.random.default_rng(args.scene)).image
    if args.photo is not None:
        image = photograph(image, np.random.default_rng(args.photo))
    try:
        Image.fromarray(image).save(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); give another --out") from None
    height, width = image.shape[:2]
    for repair in record.repairs:
        print(f"pulse-page: {repair}", file=sys.stderr)
    about = {"out": str(out), "width": width, "height": height, "layout": page.layout, "repairs": list(record.repairs)}
    print(json.dumps(about) if args.json else f"{out}: {width}x{height} pixels, layout {page.layout}")
    return 0


def _scale(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 200:
        raise argparse.ArgumentTypeError(f"{text}: give a number from 1 to 200")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="pulse-page",
        description="Draw an ECG record as a page of ECG paper (PNG); flatten a photograph of a page, read its leads.",
        epilog="Of a photograph, --out becomes a folder: page.png (flat and evenly lit, 4 pixels a mm), seen.png (what "
        "a model looks at), found.jpg (the page's outline in the picture) and reading.json. --signals becomes one too: "
        "NAME.hea, .dat and .csv (mV, 500 samples a second), signals.json and signals.png (curves over the page).",
    )
    records = (
        "WFDB (.hea, .dat, .mat or base name), a table (.csv, .tsv, .txt, .npy, .npz), HDF5, or a recorder's own file "
        "(DICOM, SCP-ECG, aECG, MUSE or Philips XML, EDF, MFER, ISHNE)"
    )
    pictures = "PNG, JPEG, WebP, TIFF, BMP, AVIF, HEIC, PDF, or DICOM that holds a picture or a PDF"
    parser.add_argument("source", metavar="RECORD|PHOTO", help=f"a record: {records}; or a picture: {pictures}")
    parser.add_argument("--out", metavar="FILE|DIR", help="for a record a .png, for a picture a folder")
    parser.add_argument("--signals", metavar="DIR", help="read a picture's leads: WFDB, a table, what was measured")
    drawn_as = f"where each lead stands (a record: {PLAIN}, or the family's; a picture's signals: found)"
    parser.add_argument("--layout", choices=LAYOUTS, help=drawn_as)
    parser.add_argument("--mm-per-s", type=_scale, metavar="N", help="speed of a picture's page, where no mark says it")
    parser.add_argument("--mm-per-mv", type=_scale, metavar="N", help="gain of a picture's page, where no mark says it")
    parser.add_argument("--family", choices=FAMILIES.names(), help="draw as such pages look: paper, head, layout")
    parser.add_argument("--seed", type=int, metavar="N", help="of the family's look (0)")
    parser.add_argument("--photo", type=int, metavar="SEED", help="photograph the page, effects drawn from this seed")
    parser.add_argument("--scene", type=int, metavar="SEED", help="photograph it on a desk, drawn from this seed")
    parser.add_argument("--dpi", type=float, default=101.6, metavar="N", help="dots an inch of paper (%(default)s)")
    parser.add_argument("--fs", type=float, metavar="HZ", help="samples a second, where the file does not say")
    parser.add_argument("--leads", metavar="I,II,...", help="names of the leads, where the file does not say")
    parser.add_argument("--unit", metavar="UNIT", help="V, mV, uV or nV, where the file does not say (mV)")
    parser.add_argument("--allow-missing", action="store_true", help="draw lost samples as gaps instead of refusing")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
