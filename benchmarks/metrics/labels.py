"""Figures of several-class answers: the published ones on words, the honest ones beside them, all with intervals.

On words as PULSE's evaluation (arXiv 2410.19008): macro F1, macro AUC of the 0/1 answers, Hamming loss. Beside them AUC
and calibration of the probabilities, sensitivity and specificity by class, and 95 % intervals that draw patients.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.metrics.score import auc, bootstrap, calibration_error, f1, macro_auc
from benchmarks.task import Shown

SHOWN = (
    Shown("f1", "F1, answers in words", column="F1"),
    Shown("hard_auc", "AUC of the answers"),
    Shown("hamming", "Hamming loss"),
    Shown("auc", "AUC of probabilities", 3, "AUC"),
    Shown("calibration_error", "calibration error", 3),
)


def label_measures(
    truth: np.ndarray, said: np.ndarray, probability: np.ndarray
) -> dict[str, Callable[[np.ndarray], float]]:
    """Figures of SHOWN as functions of row indices; arguments as for label_figures. Probabilities are scored over the
    classes that have them, and not at all where none has."""
    scored = ~np.isnan(probability).any(0)
    figures: dict[str, Callable[[np.ndarray], float]] = {
        "f1": lambda at: 100 * float(np.mean([f1(truth[at, k], said[at, k]) for k in range(truth.shape[1])])),
        "hard_auc": lambda at: 100 * macro_auc(truth[at], said[at]),
        "hamming": lambda at: 100 * float((truth[at] != said[at]).mean()),
    }
    if scored.any():
        known, chance = truth[:, scored], probability[:, scored]
        figures["auc"] = lambda at: macro_auc(known[at], chance[at])
        figures["calibration_error"] = lambda at: calibration_error(known[at], chance[at])
    return figures


def label_figures(
    names: Sequence[str],
    truth: np.ndarray,
    said: np.ndarray,
    probability: np.ndarray,
    patients: np.ndarray,
    rounds: int = 500,
) -> dict[str, Any]:
    """truth and said 0/1 [n, k], probability [n, k] (a column of NaN: the class has none), patients [n] -> {"macro":
    {figure: [value, low, high]}, "classes": {class: {...}}}: percent as PULSE prints them, AUC of probabilities and
    calibration error as fractions, over the classes that have them. None where a figure does not exist."""
    scored = ~np.isnan(probability).any(0)
    everything = np.arange(len(truth))
    macro: dict[str, list[float | None]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        for key, figure in label_measures(truth, said, probability).items():
            macro[key] = [number(v) for v in (figure(everything), *bootstrap(figure, patients, rounds))]
    classes = {}
    for k, name in enumerate(names):
        yes, no = truth[:, k] == 1, truth[:, k] == 0
        classes[name] = {
            "records": int(yes.sum()),
            "sensitivity": number(100 * said[yes, k].mean()) if yes.any() else None,
            "specificity": number(100 * (1 - said[no, k]).mean()) if no.any() else None,
            "f1": number(100 * f1(truth[:, k], said[:, k])),
            "auc": number(auc(truth[:, k], probability[:, k])) if scored[k] else None,
        }
    return {"macro": macro, "classes": classes}


def lines(figures: Mapping[str, Any]) -> list[str]:
    """The tables that the command prints."""
    told = []
    for shown in SHOWN:
        if shown.key not in figures["macro"]:
            told.append(f"  {shown.title:24} not_run (the bundle does not list all five classes as findings)")
            continue
        value, low, high = figures["macro"][shown.key]
        span = "" if low is None else f"  ({low:.{shown.places}f} to {high:.{shown.places}f})"
        told.append(f"  {shown.title:24} " + ("-" if value is None else f"{value:.{shown.places}f}") + span)
    told.append("  class   records  sensitivity  specificity     F1    AUC")
    for name, row in figures["classes"].items():
        cells = (("sensitivity", 13, 1), ("specificity", 13, 1), ("f1", 7, 1), ("auc", 7, 3))
        text = "".join(
            f"{'-' if row[k] is None else format(row[k], f'.{places}f'):>{width}}" for k, width, places in cells
        )
        told.append(f"  {name:8}{row['records']:7}{text}")
    return told


def number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
