"""A language model as the judge of reports and of Arena's answers, by the criteria of PULSE's evaluation (arXiv
2410.19008): each from 0 to 10, the figure is their mean times ten. The judge's instructions are this project's own, so
figures compare among themselves, and with published ones only as far as a judge's taste does."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.metrics.score import bootstrap
from benchmarks.task import Answered
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from pulse.instruct.endpoint import Endpoint

CRITERIA = {
    "report": {
        "diagnosis": "Are the reference's diagnoses all there, and none besides?",
        "waveform": "Are waves, intervals, segments and axis described as in the reference?",
        "rhythm": "Are rhythm and rate those of the reference?",
    },
    "arena": {
        "accuracy": "Is what the answer says right, measured by the reference?",
        "completeness": "Does it cover all that the reference covers and the question asks for?",
        "instruction": "Does it do what the question asked, in the form asked for?",
    },
}
_SYSTEM = (
    "You grade answers about electrocardiograms against a cardiologist's reference. Content counts, not style. "
    "Grade each criterion with a whole number from 0 (nothing right) to 10 (as good as the reference). Answer with one "
    "JSON object whose keys are the criteria's names and whose values are the numbers, and nothing else."
)
_TRIES = 2  # an answer that is no grade is asked for once more


def add_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--judge", metavar="URL", help="OpenAI-compatible endpoint that grades the answers")
    parser.add_argument("--judge-model", metavar="NAME", help="the model that it is asked for")


def endpoint_of(options: argparse.Namespace) -> Endpoint | None:
    """None without --judge. Raises UserError for one of the two options without the other."""
    from pulse.instruct.endpoint import Endpoint

    if (options.judge is None) != (options.judge_model is None):
        raise UserError("--judge and --judge-model belong together; give both or none")
    return Endpoint(options.judge, options.judge_model) if options.judge else None


def judge(endpoint: Endpoint, kind: str, answered: Answered) -> dict[str, float] | None:
    """Grades by criterion, None when the judge gave none that can be read; all of a conversation's turns together.

    Raises UserError when the endpoint does not answer.
    """
    criteria = CRITERIA[kind]
    listed = "\n".join(f"- {name}: {what}" for name, what in criteria.items())
    parts = [f"Criteria:\n{listed}"]
    for turn, answer in zip(answered.turns, answered.answers, strict=True):
        parts.append(
            f"Question:\n{turn.question}\n\nReference:\n{turn.answer}\n\nAnswer to grade:\n{answer or '(none)'}"
        )
    for _ in range(_TRIES):
        grades = _grades(endpoint.complete(_SYSTEM, "\n\n".join(parts), as_json=True), list(criteria))
        if grades is not None:
            return grades
    return None


def _grades(text: str, names: list[str]) -> dict[str, float] | None:
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
        grades = {name: float(found[name]) for name in names}
    except (ValueError, KeyError, TypeError):
        return None
    return grades if all(0 <= grade <= 10 for grade in grades.values()) else None


def judged(
    endpoint: Endpoint,
    kind: str,
    rows: Sequence[Answered],
    rounds: int = 500,
    at_once: int = 4,
) -> dict[str, object]:
    """score and each criterion in percent, score with its 95 % interval; unjudged rows do not count and are told.

    Raises UserError when the endpoint does not answer, or none of its answers is a grade.
    """
    with ThreadPoolExecutor(at_once) as pool:
        grades = list(pool.map(lambda row: judge(endpoint, kind, row), rows))
    known = [(grade, row.group) for grade, row in zip(grades, rows, strict=True) if grade is not None]
    if not known:
        raise UserError(
            f"{endpoint.url}: none of {len(rows)} answers of {endpoint.model} is a grade; give another judge"
        )
    each = 10 * np.array([list(grade.values()) for grade, _ in known])
    mean, who = each.mean(1), np.array([name for _, name in known])
    low, high = bootstrap(lambda at: float(mean[at].mean()), who, rounds)
    return {
        "model": endpoint.model,
        "score": [float(mean.mean()), low, high],
        "criteria": dict(zip(CRITERIA[kind], each.mean(0).tolist(), strict=True)),
        "unjudged": len(rows) - len(known),
        "grades": grades,
    }
