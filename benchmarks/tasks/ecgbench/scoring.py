"""Figures of one ECGBench subset: the published metric on answers in words, and the honest one beside it.

Rows are drawn for the intervals by record: the ids tell that several questions are about one ECG, but not whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.answers import Answered
from benchmarks.metrics.labels import label_figures, lines, number
from benchmarks.tasks.ecgbench.parsing import Letters, gold_letter, labels, options, selected
from benchmarks.tasks.ecgbench.subsets import Subset, check_rows
from benchmarks.tasks.ecgbench.text import finding_figures
from distill.score import auc, bootstrap, calibration_error
from edge_runtime.errors import UserError


def score(subset: Subset, rows: Sequence[Answered], *, part: bool = False, rounds: int = 500) -> dict[str, Any]:
    """Labels: label_figures over the classes that gold holds (PULSE's binarizer is fitted on gold). Letters and
    options: accuracy in percent with its interval, and what the answer's likelihood among the options is worth. Report
    and Arena: findings named against those of the reference (the judge is another function, judge.judged).

    part: the rows are only the first of the subset, so no figure is the published one. Raises UserError for another
    number of rows than the published one where PULSE's evaluation would skip the file, and for no rows.
    """
    if not rows:
        raise UserError(f"{subset.name}: no rows; give --data the folder that holds them")
    if not part:
        check_rows(subset, len(rows))
    about = {
        "rows": len(rows),
        "published_rows": subset.rows,
        "did_not_fit": sum(not row.fits for row in rows),
    }
    records = np.array([record_of(row.id) for row in rows])
    if subset.kind == "labels":
        return {**about, **_labels(subset, rows, records, rounds)}
    if subset.kind in ("letter", "options"):
        return {**about, **_choice(subset, rows, records, rounds)}
    references, answers = (["\n".join(texts) for texts in both] for both in _texts(rows))
    return {**about, "findings": finding_figures(references, answers, records.tolist(), rounds)}


def record_of(row_id: str) -> str:
    """ "ptb-xl-03215" of "ptb-xl-03215-q_0"."""
    return re.sub(r"-q_\d+$", "", row_id)


def _texts(rows: Sequence[Answered]) -> tuple[list[list[str]], list[list[str]]]:
    """Of each row the reference's turns, and the answers'."""
    return [[turn.answer for turn in row.turns] for row in rows], [list(row.answers) for row in rows]


def _labels(subset: Subset, rows: Sequence[Answered], records: np.ndarray, rounds: int) -> dict[str, Any]:
    wanted = [labels(row.turns[0].answer, subset) for row in rows]
    known = [code for code in subset.classes if any(code in row for row in wanted)]
    if not known:
        raise UserError(f"{subset.name}: no gold answer names a class of {', '.join(subset.classes)}")
    named = [labels(row.answers[0], subset) for row in rows]
    truth = np.array([[code in row for code in known] for row in wanted], int)
    said = np.array([[code in row for code in known] for row in named], int)
    chance = np.array([[row.probabilities.get(code, np.nan) for code in known] for row in rows])
    figures = label_figures(known, truth, said, chance, records, rounds)
    return {**figures, "no_class_named": sum(not row for row in named)}


def _choice(subset: Subset, rows: Sequence[Answered], records: np.ndarray, rounds: int) -> dict[str, Any]:
    """without_luck: an answer without a letter counts as wrong instead of being drawn. confidence: of the likelihoods,
    where the bundle was held to the options: their AUC in telling right from wrong answers, and calibration error."""
    drawn = np.zeros(len(rows), bool)
    if subset.kind == "letter":
        read, right = Letters(subset.classes), np.zeros(len(rows), bool)
        for k, row in enumerate(rows):
            before = read.drawn
            right[k] = read(row.answers[0]) == gold_letter(row.turns[0].answer)
            drawn[k] = read.drawn > before
    else:
        right = np.array([_same_set(row) for row in rows])
    figures: dict[str, Any] = {"accuracy": _share(right, records, rounds)}
    if subset.kind == "letter":
        figures |= {"drawn_at_random": int(drawn.sum()), "without_luck": _share(right & ~drawn, records, rounds)}
    likelihood = np.array([np.nan if row.likelihood is None else row.likelihood for row in rows])
    if not np.isnan(likelihood).any():
        figures["confidence"] = {
            "auc": number(auc(right.astype(int), likelihood)),
            "calibration_error": number(calibration_error(right.astype(int), likelihood)),
        }
    return figures


def _same_set(row: Answered) -> bool:
    candidates = options(row.turns[0].question)
    return selected(row.answers[0], candidates) == selected(row.turns[0].answer, candidates)


def _share(right: np.ndarray, records: np.ndarray, rounds: int) -> list[float]:
    return [100 * float(right.mean()), *bootstrap(lambda at: 100 * float(right[at].mean()), records, rounds)]


def as_text(figures: dict[str, Any]) -> str:
    """The table that the command prints."""
    rows, published = figures["rows"], figures["published_rows"]
    told = [
        f"{rows} rows" + ("" if rows == published else f" of the {published} published") + "; 95 % intervals by record"
    ]
    if "macro" in figures:
        told += [*lines(figures), f"  {figures['no_class_named']} answers name no class"]
    if "accuracy" in figures:
        told.append(f"  {'accuracy':24} {span(figures['accuracy'])}")
    if "without_luck" in figures:
        told.append(f"  {'none drawn at random':24} {span(figures['without_luck'])}, {figures['drawn_at_random']} were")
    if "confidence" in figures:
        sure = figures["confidence"]
        worth = "-" if sure["auc"] is None else f"{sure['auc']:.3f}"
        told.append(f"  {'likelihood of answers':24} AUC {worth}, calibration error {sure['calibration_error']:.3f}")
    if "findings" in figures:
        told += text_lines(figures)
    if figures["did_not_fit"]:
        told.append(f"  {figures['did_not_fit']} questions did not fit the model's context: they count as wrong")
    return "\n".join(told)


def text_lines(figures: dict[str, Any]) -> list[str]:
    """Of free text: findings named, and the judge's grades."""
    found, judged = figures["findings"], figures.get("judge")
    told = [
        f"  {'findings, F1':24} {span(found['f1'])}",
        f"  {'... abnormal ones':24} {span(found['abnormal_f1'])}",
        f"  {'precision, recall':24} {_percent(found['precision'])}, {_percent(found['recall'])}",
    ]
    if judged is None:
        return [*told, f"  {'judge':24} not_run (give --judge and --judge-model)"]
    told.append(f"  {'judge ' + judged['model']:24} {span(judged['score'])}, {judged['unjudged']} without a grade")
    return [*told, *(f"    {name:22} {value:.1f}" for name, value in judged["criteria"].items())]


def span(figure: Sequence[float] | None) -> str:
    if figure is None:
        return "-"
    value, low, high = figure
    return f"{value:.1f}  ({low:.1f} to {high:.1f})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
