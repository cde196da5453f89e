"""What a smaller model kept of a larger one's answers, of any task.

Both answered the same questions, so differences are paired: intervals draw patients and take both models' answers of
each, McNemar's test looks at the rows on which they disagree, and a stated margin turns the interval of the task's
headline into a verdict. A headline can stay while the model beneath it changes, so features, probabilities and answers
have a say as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.metrics.labels import number
from benchmarks.metrics.score import draws
from benchmarks.task import Answered, Marks, Task
from export.certificate.cost import MARGIN

_DRAWS = 500
# Relative L2 difference of the vision tower's features, on the worst page. Activations of 8 bits are off by 2 to 4 %; a
# tower of which a vendor's kernel computed one column of six wrongly, and F1 saw nothing, by 40 %.
FEATURES = 0.05


def compare(
    task: Task,
    reference: Sequence[Answered],
    rows: Sequence[Answered],
    margin: float | None = None,
    features: float | None = None,
) -> dict[str, Any]:
    """What a model kept of the reference on the rows that it answered; margin: the task's own unless given. features:
    how far the vision towers are apart (benchmarks.subjects.features), None where nobody knows.

    Returns figures {key: {reference, model, difference, interval}}, classes (gained, lost, p of McNemar), verdict on
    the task's headline and the gates, probability_shift (mean absolute) and probability_largest, same_answers, records,
    and flips: the rows of which a class
    changed. Raises ValueError when the reference did not answer one of them.
    """
    theirs = {row.id: row for row in reference}
    if not {row.id for row in rows} <= set(theirs):
        raise ValueError("the models answered different rows")
    paired = [theirs[row.id] for row in rows]
    was, now = task.marks(paired), task.marks(rows)
    figures = _figures(task, was, now, np.array([row.group for row in rows]))
    headline = figures[task.headline]
    mean, largest = _shift(was.probability, now.probability)
    same = sum(a.answers == b.answers for a, b in zip(paired, rows, strict=True))
    gates = {
        "features": gate(features, most=FEATURES),
        "probabilities_largest": gate(largest, most=MARGIN.largest),
        "probabilities_mean": gate(mean, most=MARGIN.mean),
        "answers": gate(same / len(rows), least=MARGIN.answers),
    }
    return {
        "records": len(rows),
        "figures": figures,
        "classes": {
            name: _class(was.truth[:, k], was.predicted[:, k], now.predicted[:, k])
            for k, name in enumerate(was.classes)
        },
        "verdict": verdict(headline["interval"], task.margin if margin is None else margin, task.headline, gates),
        "probability_shift": mean,
        "probability_largest": largest,
        "same_answers": same,
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


def gate(value: float | None, most: float = float("inf"), least: float = 0.0) -> dict[str, Any]:
    """Whether a value lies within its limit: pass, fail, or not_run where there is none."""
    limit = most if most < float("inf") else least
    status = "not_run" if value is None else "pass" if least <= value <= most else "fail"
    return {"value": value, "limit": limit, "status": status}


def verdict(
    interval: Sequence[float | None], margin: float, figure: str, gates: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Non-inferior when the whole interval of the difference lies above -margin, inferior when it lies below, otherwise
    inconclusive (Piaggio et al. 2012, CONSORT for non-inferiority trials, doi:10.1001/jama.2012.87802).

    changed: it would be non-inferior, but a gate fails, so that what was kept is not the model.
    """
    low, high = interval
    if low is None or high is None:
        found = "inconclusive"
    else:
        found = "non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive"
    if found == "non-inferior" and any(each["status"] == "fail" for each in (gates or {}).values()):
        found = "changed"
    return {"figure": figure, "margin": margin, "found": found, "gates": dict(gates or {})}


def _shift(was: np.ndarray, now: np.ndarray) -> tuple[float | None, float | None]:
    """Mean and largest absolute difference of the probabilities that both models have; None where they have none."""
    both = ~(np.isnan(was) | np.isnan(now))
    if not both.any():
        return None, None
    apart = np.abs(was - now)[both]
    return number(apart.mean()), number(apart.max())


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
