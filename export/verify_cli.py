"""`pulse-verify`: check bundles again, on this machine: digests, then every stage against the checkpoint in torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from edge_runtime.bundle import Bundle
from edge_runtime.commandline import Parser, run
from edge_runtime.errors import CannotRunHere, UserError
from edge_runtime.manifest import MANIFEST
from edge_runtime.session import Session
from edge_runtime.tokenizer import Tokenizer
from export.build import certificate_of, certifying_engine, example_pages, reference_of
from export.certificate.across import Agreement, agreement, as_table, read_pages
from export.certificate.certify import Certificate
from export.certificate.emulated import PROCESSORS
from export.certificate.userland import open_userland
from export.plan import room
from pulse.checkpoint.checkpoint import NANO, Checkpoint
from pulse.files.memory import parse_size

_PICTURES = (".png", ".jpg", ".jpeg")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 all bundles pass, 1 one does not, 2 wrong use, 130 interrupted."""
    return run("pulse-verify", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    source = Checkpoint.open(args.model)
    pages = example_pages() if args.pages is None else _pictures(args.pages)
    bundles = [_made_from(Bundle.load(path, args.require_signature), source) for path in args.bundles]
    userland = open_userland() if args.emulated else None
    most = room(parse_size(args.max_memory))
    found = [(bundle, certificate_of(bundle, source, pages, userland, most)) for bundle in bundles]
    rows = _rows(bundles, source, pages) if len(bundles) > 1 else []
    print(_as_json(found, rows) if args.json else _as_text(found, rows))
    return 0 if all(certificate.status == "pass" for _, certificate in found) else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-verify", description="Check bundles against the checkpoint that they were made from.")
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="folder that pulse-export wrote")
    parser.add_argument("--model", metavar="MODEL", default=NANO, help="checkpoint folder (%(default)s)")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="folder of ECG pages (default: the project's own)")
    parser.add_argument("--require-signature", metavar="PUBKEY", help="refuse a bundle not signed with this key (PEM)")
    parser.add_argument("--emulated", choices=PROCESSORS, help="emulate this processor too (after make emulated)")
    parser.add_argument("--max-memory", metavar="SIZE", help="what a certificate may take, such as 6GB (what is free)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def _pictures(folder: Path) -> list[Path]:
    pages = sorted(p for p in folder.glob("*") if p.suffix.lower() in _PICTURES) if folder.is_dir() else []
    if not pages:
        raise UserError(f"{folder}: no {', '.join(_PICTURES)} there; give a folder of ECG pages")
    return pages


def _made_from(bundle: Bundle, source: Checkpoint) -> Bundle:
    recorded = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))["source"].get("sha256")
    if recorded != source.digest():
        raise UserError(
            f"{bundle.folder}: was not made from the weights in {source.folder}; give its checkpoint with --model"
        )
    return bundle


def _rows(bundles: Sequence[Bundle], source: Checkpoint, pages: Sequence[Path]) -> list[Agreement]:
    """The formats side by side; a bundle that cannot run here has no row, and its certificate says why."""
    rows = []
    for bundle in bundles:
        try:
            engine = certifying_engine(bundle)
        except CannotRunHere:
            continue
        reference = reference_of(bundle, source)
        tokenizer = Tokenizer(bundle.path("tokenizer"))
        ours = Session(engine, bundle.manifest.inference, tokenizer)
        theirs = Session(reference, reference.config.inference, tokenizer)
        rows.append(agreement(bundle, read_pages(ours, pages), read_pages(theirs, pages)))
    return rows


def _as_text(found: Sequence[tuple[Bundle, Certificate]], rows: Sequence[Agreement]) -> str:
    parts = [f"{bundle.folder}: {certificate.as_text()}" for bundle, certificate in found]
    return "\n".join([*parts, as_table(rows)] if rows else parts)


def _as_json(found: Sequence[tuple[Bundle, Certificate]], rows: Sequence[Agreement]) -> str:
    certificates = {str(bundle.folder): certificate.as_json() for bundle, certificate in found}
    return json.dumps({"certificates": certificates, "agreement": [asdict(row) for row in rows]}, allow_nan=False)


if __name__ == "__main__":
    sys.exit(main())
