"""`pulse-bench retention`: what a smaller model kept of a larger one's answers, on the same records.

Both answer the same pages, so differences are paired: intervals draw patients and take both models' answers of each,
McNemar's test looks at the records on which they disagree, and a stated margin turns the interval into a verdict.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest
from tqdm import tqdm

from benchmarks.arguments import count
from benchmarks.sample import FOLD, SAMPLE, data_folder
from benchmarks.subjects import about_subject, interpreted
from benchmarks.tasks import ptbxl_super
from distill.score import calibration_error, draws, hard_figures, macro_auc
from edge_runtime.cpus import usable_cores
from edge_runtime.errors import UserError
from pulse.ecg.paper.layouts import LAYOUTS
from pulse.ecg.ptbxl import SUPERCLASSES, PtbXl

Rows = list[dict[str, Any]]
# Key, title, decimals, unit of a difference; the first three as PULSE scores answers in words.
FIGURES = (
    ("f1", "F1, answers in words", 1),
    ("hard_auc", "AUC of the answers", 1),
    ("hamming", "Hamming loss", 1),
    ("auc", "AUC of probabilities", 3),
    ("calibration_error", "calibration error", 3),
)
MARGIN = 2.0  # points of F1
INTERPRETED = 40  # records; an interpreter of Core ML packages takes a second or more for a page
_DRAWS = 500
_PLAIN = ptbxl_super.Pages()


def compare(reference: Rows, rows: Rows, gold: Mapping[int, Sequence[str]], margin: float = MARGIN) -> dict[str, Any]:
    """What a model kept of the reference on the records that it answered; rows as ptbxl_super.answers gives them.

    Returns figures {key: {reference, model, difference, interval}}, classes (gained, lost, p of McNemar), verdict on
    the F1 in words, probability_shift (mean absolute), same_answers, records, and flips: the records of which a class
    changed. Raises ValueError when the reference did not answer one of them.
    """
    theirs = {row["ecg_id"]: row for row in reference}
    ids = [row["ecg_id"] for row in rows]
    if not set(ids) <= set(theirs):
        raise ValueError("the models answered different records")
    truth = np.array([[name in gold[ecg_id] for name in SUPERCLASSES] for ecg_id in ids], int)
    patients = np.array([row["patient_id"] for row in rows])
    was, now = _Answers([theirs[ecg_id] for ecg_id in ids], truth), _Answers(rows, truth)
    # The same patients for both models: what they share cancels out in the difference.
    drawn = [(was.figures(at), now.figures(at)) for at in draws(patients, _DRAWS)]
    everything = np.arange(len(ids))
    before, after = was.figures(everything), now.figures(everything)
    figures: dict[str, Any] = {}
    for key, _, _ in FIGURES:
        if key not in before or key not in after:
            continue
        low, high = np.nanpercentile([b[key] - a[key] for a, b in drawn], [2.5, 97.5])
        figures[key] = {
            "reference": _number(before[key]),
            "model": _number(after[key]),
            "difference": _number(after[key] - before[key]),
            "interval": [_number(low), _number(high)],
        }
    shift = None
    if was.probability is not None and now.probability is not None:
        shift = _number(np.abs(was.probability - now.probability).mean())
    return {
        "records": len(ids),
        "figures": figures,
        "classes": {name: _class(truth[:, k], was.said[:, k], now.said[:, k]) for k, name in enumerate(SUPERCLASSES)},
        "verdict": verdict(figures["f1"]["interval"], margin),
        "probability_shift": shift,
        "same_answers": sum(a == b for a, b in zip(was.texts, now.texts, strict=True)),
        "flips": [
            {"ecg_id": ids[k], "gold": _names(truth[k]), "reference": _names(was.said[k]), "model": _names(now.said[k])}
            for k in np.flatnonzero((was.said != now.said).any(1))
        ],
    }


class _Answers:
    """A model's rows as arrays: said bool [n, 5], probability float [n, 5] or None, texts."""

    def __init__(self, rows: Rows, truth: np.ndarray) -> None:
        self.truth = truth
        self.said = np.array([[name in ptbxl_super.named(row["answer"]) for name in SUPERCLASSES] for row in rows])
        self.texts = [row["answer"] for row in rows]
        scored = all(name in row["probabilities"] for row in rows for name in SUPERCLASSES)
        self.probability = (
            np.array([[row["probabilities"][name] for name in SUPERCLASSES] for row in rows]) if scored else None
        )

    def figures(self, at: np.ndarray) -> dict[str, float]:
        found = hard_figures(self.truth[at], self.said[at].astype(int))
        if self.probability is not None:
            found["auc"] = macro_auc(self.truth[at], self.probability[at])
            found["calibration_error"] = calibration_error(self.truth[at], self.probability[at])
        return found


def verdict(interval: Sequence[float], margin: float) -> dict[str, Any]:
    """Non-inferior when the whole interval of the difference lies above -margin, inferior when it lies below, otherwise
    inconclusive (Piaggio et al. 2012, CONSORT for non-inferiority trials, doi:10.1001/jama.2012.87802)."""
    low, high = interval
    found = "non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive"
    return {"figure": "f1", "margin": margin, "found": found}


def _class(truth: np.ndarray, was: np.ndarray, now: np.ndarray) -> dict[str, Any]:
    """gained, lost: records that the class was newly named or no longer named in. better, worse: of those, which
    became right or wrong. p: McNemar's exact test of better against worse, 1 where nothing changed."""
    right_was, right_now = was == truth, now == truth
    better, worse = int((~right_was & right_now).sum()), int((right_was & ~right_now).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    gained, lost = int((~was & now).sum()), int((was & ~now).sum())
    return {"gained": gained, "lost": lost, "better": better, "worse": worse, "p": round(p, 4)}


def _names(flags: np.ndarray) -> list[str]:
    return [name for name, yes in zip(SUPERCLASSES, flags, strict=True) if yes]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def measure(
    subjects: Sequence[Path],
    data: str,
    fold: int,
    pages: ptbxl_super.Pages = _PLAIN,
    limit: int = 0,
    margin: float = MARGIN,
    workers: int = 1,
    interpret: int = INTERPRETED,
    progress: Callable[[Iterable[Any], str, int], Iterable[Any]] = lambda rows, title, total: rows,
) -> dict[str, Any]:
    """Ask every subject about the same records; the first is the reference. What only an interpreter runs here is asked
    about the first `interpret` records.

    Returns {"records", "patients", "reference", "models": [...]}, each subject with its own figures, its answers and,
    but for the reference, what it kept. Raises UserError when a subject cannot be run, or no record has a label.
    """
    abouts = [about_subject(subject) for subject in subjects]
    with data_folder(data) as folder:
        gold = ptbxl_super.gold_of(PtbXl(folder), fold, limit)
        if not gold:
            raise UserError(f"{data}: fold {fold} holds no record with a diagnostic superclass; give another --fold")
        said: list[dict[str, Any]] = []
        for subject, about in zip(subjects, abouts, strict=True):
            slow = interpreted(subject)
            ids = list(gold)[:interpret] if slow else list(gold)
            answers = ptbxl_super.answers(subject, folder, ids, pages, workers)
            rows = list(progress(answers, subject.name, len(ids)))
            figures = ptbxl_super.score(rows, gold)
            evidence = "emulated" if slow else "measured"
            said.append({"subject": about, "evidence": evidence, "figures": figures, "answers": rows})
    reference, *models = said
    for model in models:
        model["kept"] = compare(reference["answers"], model["answers"], gold, margin)
    return {
        "records": len(gold),
        "patients": reference["figures"]["patients"],
        "gold": {str(ecg_id): list(names) for ecg_id, names in gold.items()},
        "reference": reference,
        "models": models,
    }


def as_text(result: dict[str, Any]) -> str:
    """A table a model, against the reference."""
    reference = result["reference"]["subject"]
    name = f"{reference['folder']} ({reference['target']}, {reference['weights']})"
    lines = [
        f"{result['records']} records of {result['patients']} patients; differences from {name}, 95 % intervals of "
        "paired draws of patients"
    ]
    for model in result["models"]:
        subject, kept = model["subject"], model["kept"]
        lines.append(f"{subject['folder']} ({subject['target']}, {subject['weights']}; {model['evidence']})")
        for key, title, places in FIGURES:
            f = kept["figures"].get(key)
            if f is None or f["difference"] is None:
                lines.append(f"  {title:22} not_run (no probabilities of all five classes, or one kind of record only)")
                continue
            low, high = f["interval"]
            lines.append(
                f"  {title:22}{f['reference']:8.{places}f} ->{f['model']:8.{places}f}  {f['difference']:+.{places}f} "
                f"({low:+.{places}f} to {high:+.{places}f})"
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
        lines.append(f"  {decided['found']} at a margin of {decided['margin']:g} points of F1")
    return "\n".join(lines)


def add_verb(verbs: argparse._SubParsersAction[Any]) -> argparse.ArgumentParser:
    """`pulse-bench retention`."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        "retention", help="what smaller models kept of a larger one's answers, paired on the same records"
    )
    verb.add_argument("reference", metavar="REFERENCE", help="bundle, or checkpoint folder: torch in float32")
    verb.add_argument("models", metavar="MODEL", nargs="+", help="bundles or checkpoints to hold against it")
    verb.add_argument(
        "--data", default=SAMPLE, metavar="DIR", help="PTB-XL folder (default: 150 records in the project)"
    )
    verb.add_argument("--fold", type=int, choices=range(1, 11), default=FOLD, metavar="N", help="(%(default)s)")
    verb.add_argument("--layout", choices=LAYOUTS, default="3x4+rhythm", help="of the pages (%(default)s)")
    verb.add_argument("--photo", type=int, metavar="SEED", help="photograph the pages, effects drawn from this seed")
    verb.add_argument("--limit", type=count, default=0, metavar="N", help="only the fold's first N records")
    verb.add_argument(
        "--margin", type=float, default=MARGIN, metavar="F1", help="that may be lost (%(default)s points)"
    )
    verb.add_argument("--workers", type=count, default=usable_cores(), metavar="N", help="processes (%(default)s)")
    verb.set_defaults(run=run)
    return verb


def run(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """Ask and compare; returns the JSON and the text. Raises UserError as measure does."""
    result = measure(
        [Path(args.reference), *map(Path, args.models)],
        args.data,
        args.fold,
        ptbxl_super.Pages(args.layout, args.photo),
        args.limit,
        args.margin,
        args.workers,
        progress=lambda rows, title, total: tqdm(rows, title, total, unit="page", disable=None),
    )
    how = {"data": args.data, "fold": args.fold, "layout": args.layout, "photo_seed": args.photo}
    return {**how, **result}, as_text(result)
