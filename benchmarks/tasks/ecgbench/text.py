"""Free text without a judge: do the findings that an answer names fit those of the reference?

SCP-ECG statements by their known words (pulse.instruct.words), denials left out. A judge reads more; this one is the
same everywhere, and free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from distill.score import bootstrap
from edge_runtime.named import Names
from pulse.ecg.ptbxl import scp_statements
from pulse.instruct.words import phrases

_NOTHING_WRONG = ("SR", "NORM")
STATEMENTS = tuple(scp_statements())
named = Names({code: phrases(code) for code in STATEMENTS})


def finding_figures(
    references: Sequence[str], answers: Sequence[str], patients: Sequence[object], rounds: int = 500
) -> dict[str, object]:
    """Over all texts together, in percent: f1 with its 95 % interval (patients are drawn), precision and recall of the
    statements named; abnormal_f1 without sinus rhythm and normal ECG, which most texts name."""
    want, said = _table(references), _table(answers)
    abnormal = [k for k, code in enumerate(STATEMENTS) if code not in _NOTHING_WRONG]
    everything, who = np.arange(len(want)), np.array([str(patient) for patient in patients])

    def f1(at: np.ndarray, columns: Sequence[int] | slice = slice(None)) -> float:
        hits = (want[at][:, columns] & said[at][:, columns]).sum()
        total = want[at][:, columns].sum() + said[at][:, columns].sum()
        return 100 * 2 * float(hits) / float(total) if total else float("nan")

    def abnormal_f1(at: np.ndarray) -> float:
        return f1(at, abnormal)

    hits = float((want & said).sum())
    return {
        "f1": _interval(f1, everything, who, rounds),
        "abnormal_f1": _interval(abnormal_f1, everything, who, rounds),
        "precision": 100 * hits / float(said.sum()) if said.any() else None,
        "recall": 100 * hits / float(want.sum()) if want.any() else None,
        "named_in_references": int(want.sum()),
        "named_in_answers": int(said.sum()),
    }


def _table(texts: Sequence[str]) -> np.ndarray:
    """bool [texts, statements]."""
    found = [set(named(text)) for text in texts]
    return np.array([[code in names for code in STATEMENTS] for names in found], bool)


def _interval(
    figure: Callable[[np.ndarray], float], everything: np.ndarray, who: np.ndarray, rounds: int
) -> list[float] | None:
    value = figure(everything)
    return None if np.isnan(value) else [value, *bootstrap(figure, who, rounds)]
