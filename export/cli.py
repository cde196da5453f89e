"""`pulse-export`: a checkpoint in, a bundle for a device out, with its certificate."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_runtime.commandline import Parser, run
from export.build import TARGETS, build_bundle
from export.certificate.certify import Certificate
from export.certificate.emulated import PROCESSORS
from export.certificate.userland import open_userland
from export.options import KV, Options
from export.targets.executorch.program import DELEGATES, DELEGATION, read_shares
from export.targets.onnx.graphs import STYLES
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from pulse.files.memory import Meter, parse_size
from quantize.load import WEIGHTS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 1 the certificate failed, 2 wrong use, 130 interrupted."""
    return run("pulse-export", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    source = Checkpoint.open(args.model)
    out = Path(args.out or f"{args.model.rstrip('/').rsplit('/', 1)[-1]}-{args.target}")
    _quiet()
    if not args.json:
        print(f"exporting {source.folder} to {out} ({args.target}) ...", file=sys.stderr)
    meter = Meter()
    certificate, _ = build_bundle(
        source,
        args.target,
        args.weights,
        out,
        delegate=args.delegate,
        key=args.sign,
        style=args.onnx_style,
        userland=open_userland() if args.emulated else None,
        options=Options(args.tiles, args.merge_tokens, args.kv, args.exact),
        max_memory=parse_size(args.max_memory),
        meter=meter,
    )
    print(json.dumps(_as_json(out, args, certificate, meter)) if args.json else _as_text(out, certificate, meter))
    return 1 if certificate.status == "fail" else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-export", description="Export a checkpoint to a bundle that a device can run.")
    parser.add_argument("model", metavar="MODEL", nargs="?", default=NANO, help="checkpoint folder (%(default)s)")
    parser.add_argument("--target", choices=TARGETS, required=True, help="what will run it")
    parser.add_argument(
        "--weights", choices=WEIGHTS, help="how weights are stored (default: as in a quantized checkpoint, or int4)"
    )
    parser.add_argument("--delegate", choices=DELEGATES, help="what runs an executorch program (default: xnnpack)")
    parser.add_argument(
        "--onnx-style",
        choices=STYLES,
        help="nbits: ONNX Runtime's own operators, the fastest there; qdq: standard ones, for TensorRT and QNN (nbits)",
    )
    parser.add_argument("--tiles", type=int, metavar="N", help="most tiles of a page, base included (the model's own)")
    parser.add_argument(
        "--merge-tokens", type=int, default=1, metavar="M", help="average MxM image tokens into one (1: none)"
    )
    parser.add_argument("--kv", choices=KV, default=KV[0], help="how keys and values are kept (%(default)s)")
    parser.add_argument(
        "--exact", action="store_true", help="no activations of 8 bits, which onnx takes for speed in large decoders"
    )
    parser.add_argument("--out", metavar="DIR", help="new folder (default: ./MODEL-TARGET)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the bundle with this Ed25519 private key (PEM)")
    parser.add_argument("--emulated", choices=PROCESSORS, help="certify on this processor too (after make emulated)")
    parser.add_argument("--max-memory", metavar="SIZE", help="refuse at once what would take more, such as 6GB")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _quiet() -> None:
    """The exporter's notes are for those who work on it: optional packages it lacks, its own deprecations."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"torch|onnxscript|onnx_ir|copyreg")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _as_text(out: Path, certificate: Certificate, meter: Meter) -> str:
    lines = [f"{method} in {delegate}: {share}" for delegate, method, share in read_shares(out)]
    lines.append(f"{out}: {_size(out) / 1e6:.1f} MB; {certificate.as_text()}")
    lines.append(meter.as_text())
    return "\n".join(lines)


def _as_json(out: Path, args: argparse.Namespace, certificate: Certificate, meter: Meter) -> dict[str, Any]:
    delegation = out / DELEGATION
    return {
        "out": str(out),
        "target": args.target,
        "weights": json.loads((out / "manifest.json").read_text())["weights"],
        "bytes": _size(out),
        "certificate": certificate.as_json(),
        "memory": meter.as_json(),
        **({"delegation": json.loads(delegation.read_text())} if delegation.is_file() else {}),
    }


if __name__ == "__main__":
    sys.exit(main())
