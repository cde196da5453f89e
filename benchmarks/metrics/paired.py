"""What a smaller model kept of a larger one's answers, of any task.

Both answered the same questions, so differences are paired: intervals draw patients and take both models' answers of
each, McNemar's test looks at the rows on which they disagree, and a stated margin turns the interval of the task's
headline into a verdict.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.metrics.labels import number
from benchmarks.metrics.score import draws
from benchmarks.task import Answered, Marks, Task

_DRAWS = 500


def compare(
    task: Task, reference: Sequence[Answered], rows: Sequence[Answered], margin: float | None = None
) -> dict[str, Any]:
    """What a model kept of the reference on the rows that it answered; margin: the task's own unless given.

    Returns figures {key: {reference, model, difference, interval}}, classes (gained, lost, p of McNemar), verdict on
    the task's headline, probability_shift (mean absolute), same_answers, records, and flips: the rows of which a class
    changed. Raises ValueError when the reference did not answer one of them.
    """
    theirs = {row.id: row for row in reference}
    if not {row.id for row in rows} <= set(theirs):
        raise ValueError("the models answered different rows")
    paired = [theirs[row.id] for row in rows]
    was, now = task.marks(paired), task.marks(rows)
    figures = _figures(task, was, now, np.array([row.group for row in rows]))
    headline = figures[task.headline]
    return {
        "records": len(rows),
        "figures": figures,
        "classes": {
            name: _class(was.truth[:, k], was.predicted[:, k], now.predicted[:, k])
            for k, name in enumerate(was.classes)
        },
        "verdict": verdict(headline["interval"], task.margin if margin is None else margin, task.headline),
        "probability_shift": _shift(was.probability, now.probability),
        "same_answers": sum(a.answers == b.answers for a, b in zip(paired, rows, strict=True)),
        "flips": [
            {
                "id": rows[k].id,
                "gold": _names(was.classes, was.truth[k]),
                "reference": _names(was.classes, was.predicted[k]),
                "model": _names(was.classes, now.predicted[k]),
            }
            for k in np.flatnonzero((was.predicted != now.predicted).any(1)).tolist()
        ],
    }


def _figures(task: Task, was: Marks, now: Marks, groups: np.ndarray) -> dict[str, Any]:
    """Of the figures that both have; the same draws for both models: what they share cancels out in the difference."""
    keys = [shown.key for shown in task.shown if shown.key in was.measures and shown.key in now.measures]
    drawn = list(draws(groups, _DRAWS))
    everything = np.arange(len(groups))
    figures = {}
    for key in keys:
        before, after = was.measures[key], now.measures[key]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice")
            low, high = np.nanpercentile([after(at) - before(at) for at in drawn], [2.5, 97.5])
        figures[key] = {
            "reference": number(before(everything)),
            "model": number(after(everything)),
            "difference": number(after(everything) - before(everything)),
            "interval": [number(low), number(high)],
        }
    return figures


def verdict(interval: Sequence[float | None], margin: float, figure: str) -> dict[str, Any]:
    """Non-inferior when the whole interval of the difference lies above -margin, inferior when it lies below, otherwise
    inconclusive (Piaggio et al. 2012, CONSORT for non-inferiority trials, doi:10.1001/jama.2012.87802)."""
    low, high = interval
    if low is None or high is None:
        found = "inconclusive"
    else:
        found = "non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive"
    return {"figure": figure, "margin": margin, "found": found}


def _shift(was: np.ndarray, now: np.ndarray) -> float | None:
    """Mean absolute difference of the probabilities that both models have; None where they have none."""
    both = ~(np.isnan(was) | np.isnan(now))
    return number(np.abs(was - now)[both].mean()) if both.any() else None


def _class(truth: np.ndarray, was: np.ndarray, now: np.ndarray) -> dict[str, Any]:
    """gained, lost: rows that the class was newly named or no longer named in. better, worse: of those, which became
    right or wrong. p: McNemar's exact test of better against worse, 1 where nothing changed."""
    from scipy.stats import binomtest

    right_was, right_now = was == truth, now == truth
    better, worse = int((~right_was & right_now).sum()), int((right_was & ~right_now).sum())
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    gained, lost = int((~was.astype(bool) & now.astype(bool)).sum()), int((was.astype(bool) & ~now.astype(bool)).sum())
    return {"gained": gained, "lost": lost, "better": better, "worse": worse, "p": round(p, 4)}


def _names(classes: Sequence[str], flags: np.ndarray) -> list[str]:
    return [name for name, yes in zip(classes, flags, strict=True) if yes]
