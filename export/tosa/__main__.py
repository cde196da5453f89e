"""`python -m export.tosa`: a vision tower in 8 bits on Arm's TOSA reference model, and compiled by Vela."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.commandline import Parser, run
from export.pages import pages_in
from export.tosa.environment import default_folder, open_environment, set_up
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from pulse.files.folder import new_folder

if TYPE_CHECKING:
    from export.tosa.tower import Found

NAME = "python -m export.tosa"
_SIZES = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}
NPUS = [f"ethos-{kind}-{macs}" for kind, sizes in _SIZES.items() for macs in sizes]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 the tower passes, 1 it does not, 2 wrong use, 130 interrupted."""
    return run(NAME, lambda: _main(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog=NAME, description="A vision tower in 8 bits on Arm's reference model, and compiled by Vela.")
    parser.add_argument("model", metavar="MODEL", nargs="?", default=NANO, help="checkpoint folder (%(default)s)")
    parser.add_argument("--npu", choices=NPUS, default="ethos-u85-256", metavar="NPU", help="(%(default)s)")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="ECG pages to test (default: the project's own)")
    parser.add_argument("--calibration", type=Path, metavar="DIR", help="pages that give ranges (default: as --pages)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep vision.tosa, Vela's files and all else there")
    parser.add_argument("--environment", type=Path, metavar="DIR", help=f"of Arm's tools ({default_folder()})")
    parser.add_argument("--setup", action="store_true", help="make that environment, and do nothing else")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _main(args: argparse.Namespace) -> int:
    if args.setup:
        print(f"{set_up(args.environment).folder}: Arm's TOSA tools are there")
        return 0
    environment = open_environment(args.environment)
    checkpoint, pages = Checkpoint.open(args.model), pages_in(args.pages)
    calibration = pages_in(args.calibration) if args.calibration else pages
    from export.tosa.tower import examine  # brings torch, which --help does not need

    with _folder(args.out) as folder:
        found = examine(checkpoint, pages, calibration, args.npu, environment, folder)
        told = _as_json(found, args.npu, [page.name for page in calibration])
        (folder / "report.json").write_text(told + "\n", encoding="utf-8")
    print(told if args.json else _as_text(found, checkpoint.name, args.npu, len(calibration), args.calibration is None))
    return 0 if found.passes else 1


@contextlib.contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is None:
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
    else:
        with new_folder(out) as folder:
            yield folder


def _as_json(found: Found, npu: str, calibration: list[str]) -> str:
    from export.tosa.tower import LIMIT

    record: dict[str, Any] = {"status": _status(found), "evidence": "simulated", "npu": npu, "limit": LIMIT}
    return json.dumps({**record, "calibration": calibration, **asdict(found)}, indent=1)


def _as_text(found: Found, name: str, npu: str, calibrated: int, on_themselves: bool) -> str:
    from export.tosa.tower import LIMIT

    tools, estimated = found.tools, found.tools["estimated"]
    operators, versions = tools["operators"], tools["versions"]
    worst = max(found.pages, key=lambda page: found.pages[page])
    ranges = f"{calibrated} pages" + (", the tested ones" if on_themselves else "")
    sizes = ", ".join(
        f"{area.replace('_', ' ')} {size / 1024:.0f} KiB" for area, size in tools["bytes"].items() if size
    )
    lines = [
        f"{name}: vision tower in int8 ({tools['specification']}), ranges from {ranges}",
        f"simulated  tosa-tools {versions['tosa-tools']}, Arm's reference model: features {found.features:.1%} off "
        f"float32 (limit {LIMIT:.0%}), worst {found.pages[worst]:.1%} ({worst})",
        f"           {_answers(found)}",
        f"compiled   ethos-u-vela {versions['ethos-u-vela']}, {npu}: {operators['npu']} of "
        f"{operators['npu'] + operators['cpu']} operators on the NPU; {sizes} "
        f"({tools['system']}, {tools['memory_mode']})",
        f"           on the CPU: {', '.join(tools['outside']) or 'nothing'}",
        f"estimated  {estimated['cycles'] / 1e6:.1f} million cycles, {estimated['seconds'] * 1e3:.1f} ms at "
        f"{estimated['clock_hz'] / 1e6:.0f} MHz, by Vela's model of the chip; no chip ran",
        _status(found),
    ]
    return "\n".join(lines)


def _answers(found: Found) -> str:
    same = f"float32 decoder after it: {found.same_answers} of {len(found.pages)} answers the same"
    if found.probabilities is None:
        return same
    largest, mean = found.probabilities
    return f"{same}; probabilities differ by {largest:.4f} at most, {mean:.4f} on average"


def _status(found: Found) -> str:
    return "pass" if found.passes else "fail"


if __name__ == "__main__":
    sys.exit(main())
