"""Free text without a judge: do the findings that an answer names fit those of the reference?

SCP-ECG statements by their known words (pulse.instruct.words), denials left out. A judge reads more; this one is the
same everywhere, and free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.metrics.score import bootstrap
from benchmarks.task import Answered, Marks, Shown

if TYPE_CHECKING:
    from edge_runtime.named import Names

_NOTHING_WRONG = ("SR", "NORM")
SHOWN = (Shown("f1", "findings, F1", column="findings, F1"), Shown("abnormal_f1", "... abnormal ones"))


@cache
def statements() -> tuple[str, ...]:
    from pulse.ecg.ptbxl import scp_statements

    return tuple(scp_statements())


@cache
def names() -> Names:
    """Finds the statements that a text names."""
    from edge_runtime.named import Names
    from pulse.instruct.words import phrases

    return Names({code: phrases(code) for code in statements()})


def finding_marks(rows: Sequence[Answered]) -> Marks:
    """All turns of a row together; f1 over all rows, abnormal_f1 without sinus rhythm and normal ECG, which most texts
    name."""
    want = _table(["\n".join(turn.answer for turn in row.turns) for row in rows])
    predicted = _table(["\n".join(row.answers) for row in rows])
    abnormal = [k for k, code in enumerate(statements()) if code not in _NOTHING_WRONG]

    def f1_of(columns: Sequence[int] | slice) -> Callable[[np.ndarray], float]:
        def f1(at: np.ndarray) -> float:
            hits = (want[at][:, columns] & predicted[at][:, columns]).sum()
            total = want[at][:, columns].sum() + predicted[at][:, columns].sum()
            return 100 * 2 * float(hits) / float(total) if total else float("nan")

        return f1

    measures = {"f1": f1_of(slice(None)), "abnormal_f1": f1_of(abnormal)}
    return Marks(measures, statements(), want.astype(int), predicted.astype(int), np.full(want.shape, np.nan))


def finding_figures(rows: Sequence[Answered], rounds: int = 500) -> dict[str, Any]:
    """In percent: the measures of finding_marks with their 95 % intervals (groups are drawn), precision and recall of
    the statements named."""
    marks, groups = finding_marks(rows), np.array([row.group for row in rows])
    hits, want, predicted = (
        float((marks.truth & marks.predicted).sum()),
        int(marks.truth.sum()),
        int(marks.predicted.sum()),
    )
    return {
        **{key: _interval(measure, groups, rounds) for key, measure in marks.measures.items()},
        "precision": 100 * hits / predicted if predicted else None,
        "recall": 100 * hits / want if want else None,
        "named_in_references": want,
        "named_in_answers": predicted,
    }


def _table(texts: Sequence[str]) -> np.ndarray:
    """bool [texts, statements]."""
    found = [set(names()(text)) for text in texts]
    return np.array([[code in named for code in statements()] for named in found], bool)


def _interval(figure: Callable[[np.ndarray], float], groups: np.ndarray, rounds: int) -> list[float] | None:
    value = figure(np.arange(len(groups)))
    return None if np.isnan(value) else [value, *bootstrap(figure, groups, rounds)]


def text_lines(figures: Mapping[str, Any]) -> list[str]:
    """Of free text: findings named, and the judge's grades."""
    found, judged = figures["findings"], figures.get("judge")
    text = [f"  {shown.title:24} {span(found[shown.key])}" for shown in SHOWN]
    text.append(f"  {'precision, recall':24} {_percent(found['precision'])}, {_percent(found['recall'])}")
    if judged is None:
        return [*text, f"  {'judge':24} not_run (give --judge and --judge-model)"]
    text.append(f"  {'judge ' + judged['model']:24} {span(judged['score'])}, {judged['unjudged']} without a grade")
    return [*text, *(f"    {name:22} {value:.1f}" for name, value in judged["criteria"].items())]


def span(figure: Sequence[float] | None) -> str:
    """A figure in percent with its interval."""
    if figure is None:
        return "-"
    value, low, high = figure
    return f"{value:.1f}  ({low:.1f} to {high:.1f})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
