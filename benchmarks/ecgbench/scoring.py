"""Figures of one ECGBench subset: the published metric on hard answers, and its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.ecgbench.parsing import Letters, gold_letter, labels, options, selected
from benchmarks.ecgbench.subsets import Subset, check_rows
from distill.score import bootstrap, hard_figures
from edge_runtime.errors import UserError


def score(
    subset: Subset, prompts: Sequence[str], gold: Sequence[str], answers: Sequence[str], rounds: int = 500
) -> dict[str, object]:
    """One entry a row in all three. Labels: hard_auc, f1, hamming in percent, over the classes that gold holds
    (MultiLabelBinarizer is fitted on gold), and sensitivity and specificity by class. Letters and options: accuracy in
    percent with a 95 % interval that draws rows (the subsets name no patients).

    Raises UserError for another number of rows than the published one, and for subsets that only a judge can score.
    """
    if not len(prompts) == len(gold) == len(answers) > 0:
        raise UserError(f"{subset.name}: {len(answers)} answers for {len(gold)} rows; answer every row")
    check_rows(subset, len(answers))
    if subset.kind == "labels":
        return {"rows": len(answers), **_labels(subset, gold, answers)}
    if subset.kind == "letter":
        read = Letters(subset.classes)
        right = np.array([read(answer) == gold_letter(want) for answer, want in zip(answers, gold, strict=True)])
        return {"rows": len(answers), **_accuracy(right, rounds), "drawn_at_random": read.drawn}
    if subset.kind == "options":
        right = np.array([_same_set(*row) for row in zip(prompts, gold, answers, strict=True)])
        return {"rows": len(answers), **_accuracy(right, rounds)}
    raise UserError(f"{subset.name} is free text, which only a judge can score")


def _labels(subset: Subset, gold: Sequence[str], answers: Sequence[str]) -> dict[str, object]:
    wanted = [labels(text, subset) for text in gold]
    known = [code for code in subset.classes if any(code in row for row in wanted)]
    if not known:
        raise UserError(f"{subset.name}: no gold answer names a class of {', '.join(subset.classes)}")
    truth = np.array([[code in row for code in known] for row in wanted], int)
    said = np.array([[code in row for code in known] for row in (labels(text, subset) for text in answers)], int)
    classes = {}
    for k, code in enumerate(known):
        yes = truth[:, k] == 1
        classes[code] = {
            "rows": int(yes.sum()),
            "sensitivity": 100 * float(said[yes, k].mean()),
            "specificity": None if yes.all() else 100 * float(1 - said[~yes, k].mean()),
        }
    return {**hard_figures(truth, said), "classes": classes}


def _same_set(prompt: str, gold: str, answer: str) -> bool:
    candidates = options(prompt)
    return selected(answer, candidates) == selected(gold, candidates)


def _accuracy(right: np.ndarray, rounds: int) -> dict[str, object]:
    low, high = bootstrap(lambda at: 100 * float(right[at].mean()), np.arange(len(right)), rounds)
    return {"accuracy": 100 * float(right.mean()), "interval": [low, high]}
