"""`pulse-ask`: a bundle, a picture and a question in; the answer, findings and timing out."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from edge_runtime import pages
from edge_runtime.answer import Answer, Reply, evidence_json
from edge_runtime.bundle import Bundle
from edge_runtime.commandline import Parser, run
from edge_runtime.engines import simulator_of
from edge_runtime.errors import UserError
from edge_runtime.fhir import transaction
from edge_runtime.observation import Observation
from edge_runtime.questions import Because, asks_for_report, needs_measuring
from edge_runtime.report import answered as report
from edge_runtime.session import Session
from edge_runtime.similar import Case
from edge_runtime.wfdb_file import read_recording

_BAR = 24
_FEW = 3  # reasons shown where none of many attributes holds
_STARRED = "*: likely, since it reaches its operating point; sensitivity and precision there on validation records"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; exit status 0 done, 2 wrong use, 130 interrupted, 141 when the reader of stdout went away."""
    return run("pulse-ask", lambda: _run(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pulse-ask", description="Ask a PULSE bundle about a picture of an ECG page.")
    parser.add_argument("bundle", metavar="BUNDLE", help="pulse-nano, or a folder that pulse-export wrote")
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a picture, a PDF or DICOM of either (file.pdf#2 is page 2), or a WFDB header, RECORD.hea, of a digital "
        "recording",
    )
    parser.add_argument("question", metavar="QUESTION", nargs="?", help="default: the bundle's own question")
    parser.add_argument("--max-new-tokens", type=int, metavar="N", help="longest answer (default: the bundle's)")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 always takes the likeliest word")
    parser.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest words that sum to P")
    parser.add_argument("--seed", type=int, metavar="N", help="makes a temperature above 0 repeatable")
    parser.add_argument("--threads", type=int, metavar="N", help="default: every physical core")
    parser.add_argument("--provider", metavar="P", help="ONNX Runtime's: cpu, cuda, tensorrt ... (default: cpu)")
    parser.add_argument("--no-findings", action="store_true", help="skip the table of probabilities")
    parser.add_argument("--allow-non-ecg", action="store_true", help="answer even if it does not look like an ECG page")
    parser.add_argument(
        "--unconstrained", action="store_true", help="any words: not only listed options, unlikely findings too"
    )
    parser.add_argument(
        "--flatten",
        action=argparse.BooleanOptionalAction,
        help="flatten a photograph of a page before the model looks at it (default: the bundle's)",
    )
    parser.add_argument(
        "--measure",
        action=argparse.BooleanOptionalAction,
        help="measure rate, intervals and axes on the page itself, and answer with them (default: in a report)",
    )
    parser.add_argument(
        "--similar", type=int, metavar="K", help="the K cases of PTB-XL that are most like the page as well"
    )
    parser.add_argument("--signals", action="store_true", help="with --json: the leads' samples as well")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write the answer as a report: .pdf, .png, or .dcm (DICOM, of the input's study)",
    )
    parser.add_argument("--require-signature", metavar="PUBKEY", help="refuse a bundle not signed with this key (PEM)")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    printed.add_argument("--fhir", action="store_true", help="print a FHIR R4 transaction instead of text")
    return parser


def _run(args: argparse.Namespace) -> int:
    if args.report is not None:
        report.check(args.report)
    if args.signals and (args.measure is False or not args.json):
        raise UserError("--signals are measured, and printed with --json; add --json, and leave --no-measure out")
    recorded = args.image.lower().endswith(".hea")
    if recorded and args.flatten:
        raise UserError("--flatten is for photographs of a page, and a .hea is a digital recording; leave it out")
    ecg = read_recording(args.image) if recorded else args.image
    bundle = Bundle.load(args.bundle, args.require_signature)
    session = Session.of(bundle, args.threads, args.provider, args.flatten)
    whole = asks_for_report(args.question, session.inference)
    measure = (
        args.measure if args.measure is not None else whole or args.signals or needs_measuring(args.question or "")
    )
    page = session.look(ecg, measure=measure)
    cases = page.similar(args.similar) if args.similar is not None else None
    reply = page.ask(
        args.question,
        max_new_tokens=args.max_new_tokens,
        temperature=args.temperature,
        top_p=args.top_p,
        seed=args.seed,
        findings=not args.no_findings,
        allow_non_ecg=args.allow_non_ecg,
        unconstrained=args.unconstrained,
    )
    print(session.inference.notice, file=sys.stderr)
    if not recorded and (more := pages.note(args.image)):
        print(f"pulse-ask: {more}", file=sys.stderr)
    if args.allow_non_ecg and not page.looks_like_ecg:
        print(f"pulse-ask: {page.not_ecg_notice}", file=sys.stderr)
    if page.turns:
        print(
            f"pulse-ask: the page lay turned; it was read {90 * page.turns} degrees further to the right",
            file=sys.stderr,
        )
    if page.redrawn:
        print("pulse-ask: the model read the page as it is drawn anew from the signals read of it", file=sys.stderr)
    if page.looks_like_ecg and page.is_part:
        print("pulse-ask: only part of the page seems to be in the picture; photograph all of it", file=sys.stderr)
    _print(args, reply, page, bundle, whole, simulator_of(session.engine), cases)
    if args.report is not None:
        question, answer = args.question or session.inference.default_question, reply.finish()
        when, served = datetime.now().astimezone(), bundle.provenance
        line = answer.evidence.as_text() if answer.evidence is not None else ""
        drawn = report.report(answer, question, page.seen, served, when, line)
        report.write(args.report, drawn, served, when, args.image)
    return 0


def _print(
    args: argparse.Namespace,
    reply: Reply,
    page: Observation,
    bundle: Bundle,
    whole: bool,
    simulator: str,
    cases: list[Case] | None,
) -> None:
    """whole: the answer is a report, whose words carry what was measured. simulator: of the engine, or ""."""
    if args.json:
        told = _as_json(reply.finish(), page, bundle, args.signals)
        if cases is not None:
            told["similar"] = [dataclasses.asdict(case) for case in cases]
        if simulator:
            told |= {"timing": None, "simulated": simulator}
        print(json.dumps(told, ensure_ascii=True))
        return
    if args.fhir:
        print(json.dumps(transaction(reply.finish(), bundle.provenance, datetime.now(UTC))))
        return
    for piece in reply:
        print(piece, end="", flush=True)
    answer = reply.finish()
    measured = [answer.evidence.as_text(), ""] if answer.evidence is not None and not whole else []
    decided = [*_because(answer.because), *_left_out(answer)]
    lines = [*measured, *decided, *_table(answer), *_similar(cases or [])]
    print("\n" + "".join(f"\n{line}" for line in lines) + (_simulated(simulator) if simulator else _timing(answer)))


def _as_json(answer: Answer, page: Observation, bundle: Bundle, samples: bool) -> dict[str, object]:
    timing = dataclasses.asdict(answer.timing)
    return {
        **evidence_json(answer, samples),
        "text": answer.text,
        "token_ids": answer.token_ids,
        "finish_reason": answer.finish_reason,
        "findings": [{**dataclasses.asdict(f), "likely": f.likely} for f in answer.findings],
        "is_ecg": answer.is_ecg,
        "whole": page.whole,
        "turns": page.turns,
        "redrawn": page.redrawn,
        "likelihood": answer.likelihood,
        "left_out": list(answer.left_out),
        "because": [dataclasses.asdict(each) for each in answer.because],
        "timing": {key: round(value, 3) for key, value in timing.items()},
        "model": bundle.manifest.name,
        "target": bundle.manifest.target,
    }


def _left_out(answer: Answer) -> list[str]:
    """What the model wrote besides, so that nothing is hidden."""
    if not answer.left_out:
        return []
    return [f"left out, as unlikely by its own probability or said before: {'; '.join(answer.left_out)}", ""]


def _because(because: Sequence[Because]) -> list[str]:
    """From where an answer about attributes comes, a line each; of many the ones that hold."""
    shown = [each for each in because if each.holds] or list(because[:_FEW])
    lines = []
    for each in shown:
        value = "" if each.value is None else f" {each.value:g}"
        limit = "" if each.limit is None else f" (limit {each.limit:g})"
        told = "cannot be told" if each.holds is None else f"{each.source}{value}{limit}"
        lines.append(f"{each.what}: {'yes, ' if each.holds else '' if each.holds is None else 'no, '}{told}")
    return [*lines, ""] if lines else []


def _table(answer: Answer) -> list[str]:
    """One line a finding, the most probable first; those with an operating point say what naming them is worth."""
    found = sorted(answer.findings, key=lambda f: -f.probability)
    labels, names = (max((len(getattr(f, key)) for f in found), default=0) for key in ("label", "told"))
    lines = []
    for f in found:
        bar = "#" * round(_BAR * f.probability)
        if f.point is not None:
            bar = f"{'*' if f.likely else ' '} {bar:{_BAR}}  {_share(f.sensitivity)}  {_share(f.precision)}"
        lines.append(f"{f.label:{labels}}  {f.told:{names}}  {f.probability:.2f}  {bar}".rstrip())
    if any(f.point is not None for f in found):
        lines.append(_STARRED)
    if any(f.examples for f in found):
        lines.append("of a learnt finding: sensitivity on its own examples, each left out in turn")
    return [*lines, ""] if lines else []


def _similar(cases: list[Case]) -> list[str]:
    """Three lines a case: what it is, its report, where it is from."""
    lines = []
    for case in cases:
        about = ", ".join(str(part) for part in (case.sex, case.age) if part is not None)
        lines.append(f"similar {case.similarity:.2f}: {' '.join(case.statements)} ({about or 'age and sex not known'})")
        lines += [f"  report: {case.report}", f"  record {case.record} of {case.source}"]
    return [*lines, ""] if lines else []


def _share(value: float | None) -> str:
    return "   -" if value is None else f"{value:.2f}"


def _simulated(simulator: str) -> str:
    return f"\nsimulated: {simulator}; its times say nothing of a device"


def _timing(answer: Answer) -> str:
    t = answer.timing
    measured = f", measuring {t.measure_ms:.0f}" if answer.evidence is not None else ""
    return (
        f"\n{t.tokens} tokens; first after {t.first_token_ms:.0f} ms (picture {t.preprocess_ms:.0f}, vision "
        f"{t.vision_ms:.0f}, prefill {t.prefill_ms:.0f}{measured}), then {t.decode_tokens_per_s:.1f} tokens/s"
        + (f"; findings {t.findings_ms:.0f} ms" if answer.findings else "")
    )


if __name__ == "__main__":
    sys.exit(main())
