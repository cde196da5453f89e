"""`pulse-bench retention`: what a smaller model kept of a larger one's answers, on the same questions of any task."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sample import data_folder
from benchmarks.tasks import TASKS
from benchmarks.verbs import Outcome, Verb
from benchmarks.verbs._simulated import TOSA, add_simulated_or_tosa, check_subjects, on_tosa
from benchmarks.verbs._tasks import add_task, data_of, watched

if TYPE_CHECKING:
    from benchmarks.subjects.subject import Subject

MOST = {"emulated": 40}  # questions; an interpreter of Core ML packages takes a second or more for a page
DEFAULT = "ptbxl-super"


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("reference", metavar="REFERENCE", help="bundle, or checkpoint: torch in float32")
    parser.add_argument("models", metavar="MODEL", nargs="+", help="bundles or checkpoints to hold against it")
    add_task(parser, argv, DEFAULT)
    add_simulated_or_tosa(parser)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep answers there as they come; run again to go on")
    parser.add_argument(
        "--margin", type=float, metavar="POINTS", help="of the task's headline that may be lost (default: the task's)"
    )


def run(args: argparse.Namespace) -> Outcome:
    """Ask and compare; returns the JSON and the text. Raises UserError as measure does."""
    from benchmarks.subjects.subject import Subject

    subjects = [Subject.open(name) for name in (args.reference, *args.models)]
    if args.simulated == TOSA:
        subjects = on_tosa(subjects, args)
    else:
        check_subjects(subjects, args.simulated)
    result = measure(subjects, args, progress=watched, keep=args.keep)
    return result, as_text(result)


def measure(
    subjects: Sequence[Subject],
    args: argparse.Namespace,
    most: Mapping[str, int] = MOST,
    progress: Callable[[Iterable[Any], str, int], Iterable[Any]] = lambda rows, title, total: rows,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Ask every subject the same questions; the first is the reference. Those whose answers are of an evidence in
    `most` are asked so many at most, the first ones.

    args: as add_task makes them, and margin. keep: a file that answers are kept in (benchmarks.subjects.kept). Returns
    {"task", "data", "margin", "records", "groups", "reference", "models": [...]}, each subject with its own figures,
    its answers and, but for the reference, what it kept. Raises UserError when a subject cannot be run, or nothing can
    be asked.
    """
    from benchmarks.metrics.paired import compare
    from benchmarks.subjects.answers import answers
    from benchmarks.subjects.features import apart, features_of
    from benchmarks.subjects.kept import kept_answers

    task = TASKS.load(args.task)
    margin = task.margin if args.margin is None else args.margin
    said: list[dict[str, Any]] = []
    given, seen = [], []
    data = data_of(task, args)
    with data_folder(data) as folder:
        for subject in subjects:
            about, questions = subject.about(), task.ask(folder, args)
            total = min(questions.total, most.get(subject.evidence, questions.total))
            ask = partial(answers, subject, unconstrained=False, workers=args.workers)
            chosen = islice(questions.asked, total)
            key = json.dumps([about["sha256"], args.task, task.about(args), data])
            asked = ask(chosen) if keep is None else kept_answers(keep, key, chosen, ask)
            rows = list(progress(asked, subject.folder.name, total))
            part = argparse.Namespace(**{**vars(args), "limit": total}) if subject.evidence in most else args
            given.append(rows)
            seen.append(features_of(subject, task.ask(folder, args).asked))
            said.append(
                {
                    "subject": about,
                    "evidence": subject.evidence,
                    "ran_by": subject.ran_by,
                    "figures": task.score(rows, part),
                    "answers": [row.as_json() for row in rows],
                }
            )
    reference, *models = said
    for model, rows, features in zip(models, given[1:], seen[1:], strict=True):
        model["kept"] = compare(task, given[0], rows, margin, apart(seen[0], features))
    return {
        "task": args.task,
        "data": data,
        **task.about(args),
        "margin": margin,
        "records": len(given[0]),
        "groups": len({row.group for row in given[0]}),
        "reference": reference,
        "models": models,
    }


def as_text(result: Mapping[str, Any]) -> str:
    """A table a model, against the reference."""
    task, reference = TASKS.load(result["task"]), result["reference"]["subject"]
    titles = {shown.key: shown.title for shown in task.shown}
    name = f"{reference['folder']} ({reference['target']}, {reference['weights']})"
    lines = [
        f"{result['records']} records of {result['groups']} {task.group}s; differences from {name}, 95 % intervals of "
        f"paired draws of {task.group}s"
    ]
    for model in result["models"]:
        subject, kept = model["subject"], model["kept"]
        lines.append(f"{subject['folder']} ({subject['target']}, {subject['weights']}; {model['evidence']})")
        for shown in task.shown:
            f = kept["figures"].get(shown.key)
            if f is None or f["difference"] is None:
                lines.append(
                    f"  {shown.title:22} not_run (no probabilities of all classes, or one kind of record only)"
                )
                continue
            low, high = f["interval"]
            p = shown.places
            lines.append(
                f"  {shown.title:22}{f['reference']:8.{p}f} ->{f['model']:8.{p}f}  {f['difference']:+.{p}f} "
                f"({low:+.{p}f} to {high:+.{p}f})"
            )
        changed = [
            f"{name} +{c['gained']} -{c['lost']} (p {c['p']:.2g})"
            for name, c in kept["classes"].items()
            if c["gained"] or c["lost"]
        ]
        lines.append(
            f"  answers with other classes: {len(kept['flips'])} of {kept['records']}; "
            + (", ".join(changed) or "no class changed")
        )
        decided = kept["verdict"]
        lines += [f"  {_gate(name, each)}" for name, each in decided["gates"].items()]
        lines.append(f"  {decided['found']} at a margin of {decided['margin']:g} points of {titles[decided['figure']]}")
    return "\n".join(lines)


def _gate(name: str, found: Mapping[str, Any]) -> str:
    side = "at least" if name == "answers" else "at most"
    value = "" if found["value"] is None else f"{found['value']:.4f} ({side} {found['limit']:g})"
    return f"{name.replace('_', ', '):22} {found['status']:8} {value}".rstrip()


VERB = Verb("what smaller models kept of a larger one's answers, paired on the same questions", add_arguments, run)
