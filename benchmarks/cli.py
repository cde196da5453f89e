"""`pulse-bench`: what the project's figures come from. Each subcommand is a file of benchmarks/verbs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.subjects.environment import environment
from benchmarks.verbs import VERBS
from benchmarks.verbs._output import check_writable, write_json
from edge_runtime.commandline import Parser, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 1 a report is worse than an earlier one, 2 wrong use, 130 interrupted."""
    return run("pulse-bench", lambda: _main(sys.argv[1:] if argv is None else list(argv)))


def _main(argv: list[str]) -> int:
    args = _parser(argv).parse_args(argv)
    if args.out:
        check_writable(Path(args.out))
    result, text, *status = args.run(args)
    result = {"benchmark": args.benchmark, "environment": environment(), **result}
    if args.out:
        write_json(Path(args.out), result)
    print(json.dumps(result) if args.json else text)
    return status[0] if status else 0


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """With the verb that argv names, or with all where it names none: then help lists them."""
    parser = Parser(prog="pulse-bench", description="Measure speed, memory and accuracy on this machine.")
    verbs = parser.add_subparsers(dest="benchmark", metavar="VERB", required=True, parser_class=Parser)
    named = argv[:1] if argv and argv[0] in VERBS.names() else VERBS.names()
    for name in named:
        verb = VERBS.load(name)
        own = verbs.add_parser(name, help=verb.help, description=f"{verb.help[0].upper()}{verb.help[1:]}.")
        verb.add_arguments(own, argv[1:])
        if not verb.own_out:
            own.add_argument("--out", metavar="FILE", help="write the result there as JSON")
        own.add_argument("--json", action="store_true", help="print JSON instead of text")
        own.set_defaults(run=verb.run, **({"out": None} if verb.own_out else {}))
    return parser


if __name__ == "__main__":
    sys.exit(main())
