"""Task ecgqa: single questions of ECG-QA (Oh et al. 2023, arXiv 2306.15681), on pages drawn from a PTB-XL folder.

Each is asked in the form of ECGBench's subset of it, with its template's answers as the options, and right where the
set of options in the answer is that of the gold answer (PULSE, arXiv 2410.19008). Comparisons need two ECGs at once and
are left out. With --generated, questions of the same types are made of PTB-XL's labels instead: figures of their own.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.metrics.score import bootstrap
from benchmarks.task import Answered, Asked, Marks, Questions, Shown
from benchmarks.tasks import _ecgqa, _ptbxl
from benchmarks.tasks._ecgbench.free_text import span
from benchmarks.tasks._ecgbench.parsing import options, selected
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from pulse.instruct.questions import Turn

_ROUNDS = 500


class EcgQa:
    """See benchmarks.task.Task."""

    title = "single questions of ECG-QA on pages drawn from PTB-XL, exact sets as ECGBench scores them"
    data, sample, group = _ptbxl.DATA, False, "record"
    shown, headline, margin = (Shown("accuracy", "exact sets", column="exact sets"),), "accuracy", 2.0

    def add_arguments(self, parser: argparse._ActionsContainer) -> None:
        _ptbxl.add_arguments(parser)
        parser.add_argument("--questions", type=Path, metavar="DIR", help="ECG-QA's folder or archive, unpacked")
        parser.add_argument("--wording", choices=("template", "paraphrased"), default="template", help="(%(default)s)")
        parser.add_argument("--generated", action="store_true", help="questions made of PTB-XL's labels, not ECG-QA's")

    def about(self, options: argparse.Namespace) -> dict[str, Any]:
        source = "generated from labels" if options.generated else "ECG-QA"
        return {**_ptbxl.about(options), "questions": source, "wording": options.wording}

    def ask(self, data: Path, options: argparse.Namespace) -> Questions:
        """A row a record, its questions each asked of the page alone; limit counts records. Raises UserError for a
        folder that holds no questions about the fold."""
        from pulse.ecg.ptbxl import PtbXl

        if options.questions is None:
            raise UserError("ecgqa needs --questions: the folder with ECG-QA's template/ and answers_for_each_template")
        database = PtbXl(data)
        ids = database.ids([options.fold])
        if options.generated:
            found = _ecgqa.generated(database, ids, _ecgqa.answers_by_template(options.questions))
        else:
            found = _ecgqa.real(options.questions, options.wording, set(ids))
        if not found:
            raise UserError(f"{options.questions}: no single questions about records of fold {options.fold}")
        listed = list(found.items())[: options.limit or None]
        asked = [
            Asked(f"{ecg_id}", _ptbxl.drawn(data, ecg_id, options, dpi=_ecgqa.DPI), turns, str(ecg_id), (), apart=True)
            for ecg_id, turns in listed
        ]
        return Questions(len(asked), asked)

    def marks(self, rows: Sequence[Answered]) -> Marks:
        """Of rows, each with the share of its questions that were answered right."""
        right = [[_right(turn, answer) for turn, answer in _pairs(row)] for row in rows]
        counts, hits = np.array([len(each) for each in right]), np.array([sum(each) for each in right])
        whole = (hits == counts)[:, None].astype(int)
        measures = {"accuracy": lambda at: 100 * float(hits[at].sum() / counts[at].sum())}
        return Marks(measures, ("right",), np.ones_like(whole), whole, np.full(whole.shape, np.nan))

    def score(self, rows: Sequence[Answered], options: argparse.Namespace) -> dict[str, Any]:
        """accuracy over all, majority (each template's most frequent gold answer here), both by type of question, by
        attribute type and by where answers came from: [value, low, high] and the number of questions."""
        table = [
            _Row(row.group, _kind(turn), source, _right(turn, answer), _gold(turn))
            for row in rows
            for (turn, answer), source in zip(_pairs(row), row.sources or [""] * len(row.turns), strict=True)
        ]
        common = {
            template: Counter(each.gold for each in table if each.kind == template).most_common(1)[0][0]
            for template in {each.kind for each in table}
        }
        majority = [each.gold == common[each.kind] for each in table]
        return {
            "records": len(rows),
            "all": _figures(table, majority),
            "types": _by(table, majority, lambda each: each.kind.split("/")[0]),
            "attributes": _by(table, majority, lambda each: "/".join(each.kind.split("/")[:2])),
            "sources": _by(table, majority, lambda each: each.source or "decoder"),
        }

    def intervals(self, figures: Mapping[str, Any]) -> Mapping[str, Sequence[float | None] | None]:
        return {"accuracy": figures["all"]["accuracy"]}

    def as_text(self, figures: Mapping[str, Any]) -> str:
        lines = [
            f"{figures['all']['questions']} questions about {figures['records']} records; 95 % intervals by record"
        ]
        lines.append(f"  {'':36}{'questions':>10}   {'exact sets':24}{'most frequent answer'}")
        rows = [("all", figures["all"])]
        for part in ("types", "attributes", "sources"):
            rows += [(name if part != "sources" else f"from {name}", each) for name, each in figures[part].items()]
        for name, each in rows:
            lines.append(f"  {name:36}{each['questions']:>10}   {span(each['accuracy']):24}{span(each['majority'])}")
        return "\n".join(lines)


class _Row:
    """A question that was answered: of a record, of a kind, right or not, with the gold answer."""

    def __init__(self, group: str, kind: str, source: str, right: bool, gold: frozenset[str]) -> None:
        self.group, self.kind, self.source, self.right, self.gold = group, kind, source, right, gold


def _pairs(row: Answered) -> list[tuple[Turn, str]]:
    return list(zip(row.turns, row.answers, strict=True))


def _gold(turn: Turn) -> frozenset[str]:
    return selected(turn.answer, options(turn.question))


def _right(turn: Turn, answer: str) -> bool:
    return selected(answer, options(turn.question)) == _gold(turn)


def _kind(turn: Turn) -> str:
    return _ecgqa.kind_of(turn)


def _by(table: Sequence[_Row], majority: Sequence[bool], key: Any) -> dict[str, Any]:
    parts: dict[str, list[int]] = defaultdict(list)
    for k, each in enumerate(table):
        parts[key(each)].append(k)
    return {name: _figures([table[k] for k in at], [majority[k] for k in at]) for name, at in sorted(parts.items())}


def _figures(table: Sequence[_Row], majority: Sequence[bool]) -> dict[str, Any]:
    groups = np.array([each.group for each in table])
    told = {"accuracy": np.array([each.right for each in table]), "majority": np.array(majority)}
    return {"questions": len(table), **{key: _interval(hits, groups) for key, hits in told.items()}}


def _interval(hits: np.ndarray, groups: np.ndarray) -> list[float]:
    return [100 * float(hits.mean()), *bootstrap(lambda at: 100 * float(hits[at].mean()), groups, _ROUNDS)]


TASK = EcgQa()
