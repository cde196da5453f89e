"""`pulse-bench`: what the project's figures come from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from benchmarks.arguments import count, counts
from benchmarks.environment import environment
from benchmarks.output import check_writable, write_json
from benchmarks.tasks.ptbxl_super import Pages
from benchmarks.verbs import accuracy, estimate, latency, pages, peers, report, retention
from benchmarks.verbs import sweep as ladder
from edge_runtime.commandline import Parser, run
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError
from pulse.checkpoint.checkpoint import Checkpoint
from pulse.ecg.paper.layouts import LAYOUTS
from pulse.instruct.endpoint import Endpoint
from quantize.calibration import EXAMPLES, calibration_pages


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 1 a report is worse than an earlier one, 2 wrong use, 130 interrupted."""
    return run("pulse-bench", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    args = _parser().parse_args(argv)
    if args.out:
        check_writable(Path(args.out))
    result, text, *status = args.run(args)
    result = {"benchmark": args.benchmark, "environment": environment(), **result}
    if args.out:
        write_json(Path(args.out), result)
    print(json.dumps(result) if args.json else text)
    return status[0] if status else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-bench", description="Measure speed, memory and accuracy on this machine.")
    verbs = parser.add_subparsers(dest="benchmark", required=True, parser_class=Parser)

    drawn = verbs.add_parser("pages", help="pages drawn a second and core, beside matplotlib")
    drawn.add_argument("--rounds", type=count, default=5, metavar="N", help="rounds of 16 pages a kind (%(default)s)")
    drawn.set_defaults(run=_pages)

    timed, kept, guessed = latency.add_verb(verbs), retention.add_verb(verbs), estimate.add_verb(verbs)
    report.add_verb(verbs)

    judged = verbs.add_parser("accuracy", help="answers in words against a data set's labels, scored as PULSE does")
    judged.add_argument("bundle", metavar="BUNDLE", help="folder that pulse-export wrote")
    judged.add_argument("--task", choices=accuracy.TASKS, metavar="TASK", required=True, help="%(choices)s")
    judged.add_argument(
        "--data", metavar="DIR", required=True, help="PTB-XL as PhysioNet lays it out, records100; or ECGBench's folder"
    )
    judged.add_argument("--fold", type=int, choices=range(1, 11), metavar="N", help="of PTB-XL, 1 to 10")
    judged.add_argument("--layout", choices=LAYOUTS, default="3x4+rhythm", help="of the pages (%(default)s)")
    judged.add_argument("--photo", type=int, metavar="SEED", help="photograph the pages, effects drawn from this seed")
    judged.add_argument(
        "--unconstrained", action="store_true", help="any words in answer, as PULSE's evaluation has it"
    )
    judged.add_argument("--limit", type=count, default=0, metavar="N", help="only the first N")
    judged.add_argument("--workers", type=count, default=usable_cores(), metavar="N", help="processes (%(default)s)")
    judged.add_argument("--judge", metavar="URL", help="OpenAI-compatible endpoint that grades reports and Arena")
    judged.add_argument("--judge-model", metavar="NAME", help="the model that it is asked for")
    judged.set_defaults(run=_accuracy)

    climbed = verbs.add_parser("ladder", help="what each way to quantize a float checkpoint costs, in bytes and error")
    climbed.add_argument("model", metavar="MODEL", help="folder of a float checkpoint")
    climbed.add_argument(
        "--pages", default=EXAMPLES, metavar="PAGES", help="examples, folder, ptbxl:FOLDER for fold 9 (%(default)s)"
    )
    climbed.add_argument("--records", type=count, default=64, metavar="N", help="so many of fold 9 (%(default)s)")
    climbed.add_argument(
        "--calibration", default=EXAMPLES, metavar="PAGES", help="for gptq and awq, as in pulse-quantize (%(default)s)"
    )
    climbed.add_argument(
        "--rungs", default=",".join(ladder.RUNGS), metavar="A,B", help="SCHEME[:METHOD][+PART=BITS] (%(default)s)"
    )
    climbed.set_defaults(run=_ladder)

    plan = peers.Plan()
    raced = verbs.add_parser("peers", help="our 4-bit decoder beside llama.cpp's, the same integers in both, in turn")
    raced.add_argument("--layers", type=count, default=plan.layers, metavar="N", help="of the 7B's 32 (%(default)s)")
    raced.add_argument(
        "--prefill", type=counts, default=plan.prefill, metavar="N,N", help="prompt lengths, below 4,000 (256,2880)"
    )
    raced.add_argument("--decode", type=count, default=plan.decode, metavar="N", help="tokens after it (%(default)s)")
    raced.add_argument("--threads", type=count, default=usable_cores(), metavar="N", help="(%(default)s)")
    raced.add_argument("--rounds", type=count, default=plan.rounds, metavar="N", help="of everything (%(default)s)")
    raced.set_defaults(run=_peers)

    for verb in (drawn, guessed, timed, kept, judged, climbed, raced):
        verb.add_argument("--out", metavar="FILE", help="write the result there as JSON")
        verb.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _pages(args: argparse.Namespace) -> tuple[dict[str, object], str]:
    figures = pages.measure(args.rounds)
    return {"pages_per_second": figures}, pages.as_text(figures)


def _ladder(args: argparse.Namespace) -> tuple[dict[str, object], str]:
    seen = calibration_pages(args.pages, (9,), args.records)
    rungs = args.rungs.split(",")
    steps = ladder.climb(Checkpoint.open(args.model), rungs, seen, args.calibration)
    figures = list(tqdm(steps, "rungs", len(rungs), disable=None))
    about = {"pages": args.pages, "calibration": args.calibration, "steps": [asdict(step) for step in figures]}
    return about, ladder.as_text(figures)


def _peers(args: argparse.Namespace) -> tuple[dict[str, object], str]:
    plan = peers.Plan(args.layers, args.prefill, args.decode, args.threads, args.rounds)
    result = peers.measure(plan, lambda step: print(f"pulse-bench: {step}", file=sys.stderr))
    return {"plan": asdict(plan), **result}, peers.as_text(result)


def _accuracy(args: argparse.Namespace) -> tuple[dict[str, object], str]:
    if (args.judge is None) != (args.judge_model is None):
        raise UserError("--judge and --judge-model belong together; give both or none")
    how = Pages(args.layout, args.photo, args.unconstrained)
    judge = Endpoint(args.judge, args.judge_model) if args.judge else None
    plan = accuracy.Plan(args.task, Path(args.data), args.fold, how, args.limit, args.workers, judge)
    return accuracy.measure(Path(args.bundle), plan)


if __name__ == "__main__":
    sys.exit(main())
