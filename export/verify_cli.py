"""`pulse-verify`: check bundles again, on this machine: digests, then every stage against the checkpoint in torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.bundle import Bundle
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.manifest import MANIFEST
from edge_runtime.registry import Registry
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.certificate.userland import PROCESSORS, open_userland
from export.pages import pages_in
from export.simulated import check_simulated, simulators
from export.target import TARGETS, Target, find
from pulse.checkpoint.checkpoint import NANO, Checkpoint

if TYPE_CHECKING:
    from export.certificate.across import Agreement
    from export.certificate.certify import Certificate

Found = tuple[Bundle, Target[Any]]


def main(argv: Sequence[str] | None = None, targets: Registry[Target[Any]] = TARGETS) -> int:
    """Run the command; exit status 0 all bundles pass, 1 one does not, 2 wrong use, 130 interrupted."""
    return run("pulse-verify", lambda: _main(argv, targets))


def _main(argv: Sequence[str] | None, targets: Registry[Target[Any]]) -> int:
    args = _parser().parse_args(argv)
    from export.certificate.bundle import certificate_of  # brings torch, which --help does not need
    from export.plan import room
    from pulse.files.memory import parse_size

    source, pages = Checkpoint.open(args.model, args.base), pages_in(args.pages)
    bundles = [_made_from(Bundle.load(path, args.require_signature), source) for path in args.bundles]
    found = [(bundle, find(bundle.manifest.target, targets)) for bundle in bundles]
    if args.simulated:
        check_simulated(args.simulated, bundles, targets)
    userland = open_userland() if args.emulated else None
    most = room(parse_size(args.max_memory))
    certificates = [certificate_of(bundle, source, pages, userland, most, target) for bundle, target in found]
    rows = _rows(found, source, pages) if len(found) > 1 else []
    made = [(str(bundle.folder), certificate) for bundle, certificate in zip(bundles, certificates, strict=True)]
    print(_as_json(made, rows) if args.json else _as_text(made, rows))
    return 0 if all(certificate.status == "pass" for certificate in certificates) else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-verify", description="Check bundles against the checkpoint that they were made from.")
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="folder that pulse-export wrote")
    parser.add_argument("--model", metavar="MODEL", default=NANO, help="checkpoint folder (%(default)s)")
    parser.add_argument("--base", metavar="MODEL", help="what a LoRA adapter was trained on (what it names)")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="folder of ECG pages (default: the project's own)")
    parser.add_argument("--require-signature", metavar="PUBKEY", help="refuse a bundle not signed with this key (PEM)")
    parser.add_argument("--emulated", choices=PROCESSORS, help="emulate this processor too (after make emulated)")
    parser.add_argument("--simulated", choices=sorted(simulators()), help="on this chip's simulator, or not at all")
    parser.add_argument("--max-memory", metavar="SIZE", help="what a certificate may take, such as 6GB (what is free)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _made_from(bundle: Bundle, source: Checkpoint) -> Bundle:
    recorded = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))["source"].get("sha256")
    if recorded != source.digest():
        raise UserError(
            f"{bundle.folder}: was not made from the weights in {source.folder}; give its checkpoint with --model"
        )
    return bundle


def _rows(found: Sequence[Found], source: Checkpoint, pages: Sequence[Path]) -> list[Agreement]:
    """The formats side by side; a bundle that cannot run here has no row, and its certificate says why."""
    from export.certificate.across import agreement, read_pages
    from export.certificate.bundle import reference_of

    rows = []
    for bundle, target in found:
        try:
            engine = target.runner().open(bundle)
        except CannotRunHere:
            continue
        reference = reference_of(bundle, source, target)
        tokenizer = Tokenizer(bundle.path("tokenizer"))
        ours = Session(engine, bundle.manifest.inference, tokenizer)
        theirs = Session(reference, reference.config.inference, tokenizer)
        rows.append(agreement(bundle, read_pages(ours, pages), read_pages(theirs, pages)))
    return rows


def _as_text(made: Sequence[tuple[str, Certificate]], rows: Sequence[Agreement]) -> str:
    from export.certificate.across import as_table

    parts = [f"{folder}: {certificate.as_text()}" for folder, certificate in made]
    return "\n".join([*parts, as_table(rows)] if rows else parts)


def _as_json(made: Sequence[tuple[str, Certificate]], rows: Sequence[Agreement]) -> str:
    certificates = {folder: certificate.as_json() for folder, certificate in made}
    return json.dumps({"certificates": certificates, "agreement": [asdict(row) for row in rows]}, allow_nan=False)


if __name__ == "__main__":
    sys.exit(main())
