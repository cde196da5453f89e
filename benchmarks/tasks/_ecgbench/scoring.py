"""Figures of one ECGBench subset: the published metric on answers in words, and the honest one beside it.

Rows are drawn for the intervals by record: the ids tell that several questions are about one ECG, but not whose it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.metrics.labels import label_figures, label_measures, lines, number
from benchmarks.metrics.score import auc, bootstrap, calibration_error
from benchmarks.task import Answered, Marks
from benchmarks.tasks._ecgbench.free_text import finding_figures, finding_marks, span, text_lines
from benchmarks.tasks._ecgbench.parsing import Letters, gold_letter, labels, options, selected
from benchmarks.tasks._ecgbench.subset import Subset
from edge_runtime.errors import UserError


def marks(subset: Subset, rows: Sequence[Answered]) -> Marks:
    """Labels: the classes that gold holds (PULSE's binarizer is fitted on gold). Letters and options: right or not."""
    if subset.kind == "labels":
        return _labels(subset, rows)
    if subset.kind in ("letter", "options"):
        return _choice(subset, rows)[0]
    return finding_marks(rows)


def score(subset: Subset, rows: Sequence[Answered], *, part: bool = False, rounds: int = 500) -> dict[str, Any]:
    """Labels: label_figures. Letters and options: accuracy in percent with its interval, and what the answer's
    likelihood among the options is worth. Report and Arena: findings named against those of the reference (the judge is
    another function, judge.judged).

    part: the rows are only the first of the subset, so no figure is the published one. Raises UserError for another
    number of rows than the published one where PULSE's evaluation would skip the file, and for no rows.
    """
    if not rows:
        raise UserError(f"{subset.name}: no rows; give --data the folder that holds them")
    if not part:
        subset.check_rows(len(rows))
    about = {
        "rows": len(rows),
        "published_rows": subset.rows,
        "did_not_fit": sum(not row.fits for row in rows),
    }
    records = np.array([row.group for row in rows])
    if subset.kind == "labels":
        found = _labels(subset, rows)
        figures = label_figures(found.classes, found.truth, found.predicted, found.probability, records, rounds)
        unnamed = sum(not labels(row.answers[0], subset) for row in rows)
        return {**about, **figures, "no_class_named": unnamed}
    if subset.kind in ("letter", "options"):
        return {**about, **_choice_figures(subset, rows, records, rounds)}
    return {**about, "findings": finding_figures(rows, rounds)}


def _labels(subset: Subset, rows: Sequence[Answered]) -> Marks:
    wanted = [labels(row.turns[0].answer, subset) for row in rows]
    known = tuple(code for code in subset.classes if any(code in row for row in wanted))
    if not known:
        raise UserError(f"{subset.name}: no gold answer names a class of {', '.join(subset.classes)}")
    named = [labels(row.answers[0], subset) for row in rows]
    truth = np.array([[code in row for code in known] for row in wanted], int)
    predicted = np.array([[code in row for code in known] for row in named], int)
    chance = np.array([[row.probabilities.get(code, np.nan) for code in known] for row in rows])
    return Marks(label_measures(truth, predicted, chance), known, truth, predicted, chance)


def _choice(subset: Subset, rows: Sequence[Answered]) -> tuple[Marks, np.ndarray]:
    """Marks with the one class "right", and which answers were drawn at random, bool [n].

    without_luck: an answer without a letter counts as wrong instead of being drawn.
    """
    drawn = np.zeros(len(rows), bool)
    if subset.kind == "letter":
        read, right = Letters(subset.classes), np.zeros(len(rows), bool)
        for k, row in enumerate(rows):
            before = read.drawn
            right[k] = read(row.answers[0]) == gold_letter(row.turns[0].answer)
            drawn[k] = read.drawn > before
    else:
        right = np.array([_same_set(row) for row in rows])
    measures = {"accuracy": _share(right)}
    if subset.kind == "letter":
        measures["without_luck"] = _share(right & ~drawn)
    column = right[:, None].astype(int)
    return Marks(measures, ("right",), np.ones_like(column), column, np.full(column.shape, np.nan)), drawn


def _share(right: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda at: 100 * float(right[at].mean())


def _choice_figures(subset: Subset, rows: Sequence[Answered], records: np.ndarray, rounds: int) -> dict[str, Any]:
    """confidence: of the likelihoods, where the bundle was held to the options: their AUC in telling right from wrong
    answers, and calibration error."""
    found, drawn = _choice(subset, rows)
    everything, right = np.arange(len(rows)), found.predicted[:, 0]
    figures: dict[str, Any] = {
        key: [measure(everything), *bootstrap(measure, records, rounds)] for key, measure in found.measures.items()
    }
    if subset.kind == "letter":
        figures["drawn_at_random"] = int(drawn.sum())
    likelihood = np.array([np.nan if row.likelihood is None else row.likelihood for row in rows])
    if not np.isnan(likelihood).any():
        figures["confidence"] = {
            "auc": number(auc(right, likelihood)),
            "calibration_error": number(calibration_error(right, likelihood)),
        }
    return figures


def _same_set(row: Answered) -> bool:
    candidates = options(row.turns[0].question)
    return selected(row.answers[0], candidates) == selected(row.turns[0].answer, candidates)


def as_text(figures: Mapping[str, Any]) -> str:
    """The table that the command prints."""
    rows, published = figures["rows"], figures["published_rows"]
    text = [
        f"{rows} rows" + ("" if rows == published else f" of the {published} published") + "; 95 % intervals by record"
    ]
    if "macro" in figures:
        text += [*lines(figures), f"  {figures['no_class_named']} answers name no class"]
    if "accuracy" in figures:
        text.append(f"  {'accuracy':24} {span(figures['accuracy'])}")
    if "without_luck" in figures:
        text.append(f"  {'none drawn at random':24} {span(figures['without_luck'])}, {figures['drawn_at_random']} were")
    if "confidence" in figures:
        sure = figures["confidence"]
        worth = "-" if sure["auc"] is None else f"{sure['auc']:.3f}"
        text.append(f"  {'likelihood of answers':24} AUC {worth}, calibration error {sure['calibration_error']:.3f}")
    if "findings" in figures:
        text += text_lines(figures)
    if figures["did_not_fit"]:
        text.append(f"  {figures['did_not_fit']} questions did not fit the model's context: they count as wrong")
    return "\n".join(text)
