"""`pulse-export`: a checkpoint in, a bundle for a device out, with its certificate."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError
from edge_runtime.registry import Registry
from export.certificate.userland import PROCESSORS, open_userland
from export.pages import pages_in
from export.target import TARGETS, OwnOptions, Target, find
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from quantize.kinds import WEIGHTS

if TYPE_CHECKING:
    from export.certificate.certify import Certificate
    from pulse.files.memory import Meter

_SEE = "Each target has options of its own: pulse-export --target TARGET --help shows them."


def main(argv: Sequence[str] | None = None, targets: Registry[Target[Any]] = TARGETS) -> int:
    """Run the command; exit status 0 done, 1 the certificate failed, 2 wrong use, 130 interrupted."""
    return run("pulse-export", lambda: _main(sys.argv[1:] if argv is None else argv, targets))


def _main(argv: Sequence[str], targets: Registry[Target[Any]]) -> int:
    args, target = _parse(argv, targets)
    from export.build import Export, build_bundle  # brings torch, which --help does not need
    from export.options import Options
    from pulse.files.memory import Meter, parse_size

    given = {each.name: getattr(args, each.name) for each in fields(target.options)}
    wanted = Export(
        target,
        args.weights,
        Options(args.tiles, args.merge_tokens, target.options(**given)),
        pages_in(args.pages),
        args.sign,
        open_userland() if args.emulated else None,
        parse_size(args.max_memory),
    )
    source = Checkpoint.open(args.model, args.base)
    out = Path(args.out or f"{args.model.rstrip('/').rsplit('/', 1)[-1]}-{target.name}")
    _quiet()
    if not args.json:
        print(f"exporting {source.origin} to {out} ({target.name}) ...", file=sys.stderr)
    meter = Meter()
    certificate = build_bundle(source, wanted, out, meter)
    made = _as_json(out, target, certificate, meter) if args.json else _as_text(out, target, certificate, meter)
    print(made)
    return 1 if certificate.status == "fail" else 0


def _parse(argv: Sequence[str], targets: Registry[Target[Any]]) -> tuple[argparse.Namespace, Target[Any]]:
    """The arguments, and the target that they name. Raises UserError."""
    first = Parser(prog="pulse-export", add_help=False, allow_abbrev=False)
    first.add_argument("--target")
    name = first.parse_known_args(argv)[0].target
    target = find(name, targets) if name in targets.names() else None
    parser = _parser(targets, target)
    args, unknown = parser.parse_known_args(argv)
    assert target is not None  # the parser demands one
    if unknown:
        _refuse(argv, unknown, target, targets)
    return args, target


def _parser(targets: Registry[Target[Any]], target: Target[Any] | None) -> Parser:
    parser = Parser(
        prog="pulse-export",
        description="Export a checkpoint to a bundle that a device can run.",
        epilog=_SEE if target is None else None,
        allow_abbrev=False,
    )
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", default=NANO, help="checkpoint folder, or a LoRA adapter's (%(default)s)"
    )
    parser.add_argument("--base", metavar="MODEL", help="what a LoRA adapter was trained on (what it names)")
    parser.add_argument("--target", choices=targets.names(), required=True, help="what will run it")
    parser.add_argument(
        "--weights", choices=WEIGHTS, help="how weights are stored (default: as in a quantized checkpoint, or int4)"
    )
    parser.add_argument("--tiles", type=int, metavar="N", help="most tiles of a page, base included (the model's own)")
    parser.add_argument(
        "--merge-tokens", type=int, default=1, metavar="M", help="average MxM image tokens into one (1: none)"
    )
    parser.add_argument("--pages", type=Path, metavar="DIR", help="certify on these ECG pages (the project's own)")
    parser.add_argument("--out", metavar="DIR", help="new folder (default: ./MODEL-TARGET)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the bundle with this Ed25519 private key (PEM)")
    parser.add_argument("--emulated", choices=PROCESSORS, help="certify on this processor too (after make emulated)")
    parser.add_argument("--max-memory", metavar="SIZE", help="refuse at once what would take more, such as 6GB")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    if target is not None and target.options is not OwnOptions:
        target.add_options(parser.add_argument_group(f"options of target {target.name}, {target.title}"))
    return parser


def _refuse(argv: Sequence[str], unknown: Sequence[str], target: Target[Any], targets: Registry[Target[Any]]) -> None:
    """Raises UserError for arguments that nothing knows, or that are another target's own."""
    for name, other in targets.all():
        probe = Parser(prog="pulse-export", add_help=False, allow_abbrev=False)
        other.add_options(probe)
        left = probe.parse_known_args(argv)[1]
        if unknown[0] not in left:
            theirs = " ".join(_without(argv, left))
            raise UserError(f"{theirs} goes with --target {name}, not {target.name}; leave it out")
    raise UserError(f"unrecognized arguments: {' '.join(unknown)}; see pulse-export --target {target.name} --help")


def _without(argv: Sequence[str], left: Sequence[str]) -> list[str]:
    """What of argv is not in `left`, which has the same order."""
    rest = list(left)
    return [word for word in argv if not (rest and word == rest[0] and rest.pop(0))]


def _quiet() -> None:
    """The exporter's notes are for those who work on it: optional packages it lacks, its own deprecations."""
    import logging
    import warnings

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"torch|onnxscript|onnx_ir|copyreg")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _as_text(out: Path, target: Target[Any], certificate: Certificate, meter: Meter) -> str:
    lines = [*target.report(out).lines, f"{out}: {_size(out) / 1e6:.1f} MB; {certificate.as_text()}"]
    lines.append(meter.as_text())
    return "\n".join(lines)


def _as_json(out: Path, target: Target[Any], certificate: Certificate, meter: Meter) -> str:
    made = {
        "out": str(out),
        "target": target.name,
        "weights": json.loads((out / "manifest.json").read_text())["weights"],
        "bytes": _size(out),
        "certificate": certificate.as_json(),
        "memory": meter.as_json(),
        **target.report(out).facts,
    }
    return json.dumps(made)


if __name__ == "__main__":
    sys.exit(main())
