"""ECG-QA's files as they are published, and questions of the same types made of PTB-XL's labels."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.questions.vocabulary import attributes
from pulse.instruct.questions import Turn

if TYPE_CHECKING:
    from pulse.ecg.ptbxl import PtbXl

DPI = 76.2  # of the pages: at the student's own 50.8 many leads cannot be read
_FORM = (  # of ECGBench's questions of ECG-QA (PULSE, arXiv 2410.19008)
    "Given this ECG image, please answer the following question. From the provided options, select all that apply. "
    "List your selections, separated by commas.\nQuestion: {question}\nOptions: {options}\n\n"
    "Only answer based on the given Options without any explanation."
)
_AXES = {"MID": "normal heart axis", "LAD": "left axis deviation", "ALAD": "left axis deviation",
         "RAD": "right axis deviation", "ARAD": "right axis deviation"}  # fmt: skip
# Of ECG-QA's templates that PTB-XL's statements can answer: attributes asked for, and a sentence of this project's.
_SETS = {3: "diagnostic classes", 6: "form-related findings", 7: "rhythms"}


@dataclass(frozen=True)
class QaTurn(Turn):
    """kind: type of question/type of attribute/number of the template."""

    kind: str = ""


def kind_of(turn: Turn) -> str:
    return turn.kind if isinstance(turn, QaTurn) else "single/unknown/0"


def answers_by_template(folder: Path) -> dict[int, tuple[str, ...]]:
    """Of answers_for_each_template.csv. Raises UserError where it is missing or damaged."""
    path = folder / "answers_for_each_template.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {int(row["template_id"]): tuple(ast.literal_eval(row["classes"])) for row in csv.DictReader(file)}
    except (OSError, KeyError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: {error}; give --questions ECG-QA's folder") from None


def real(folder: Path, wording: str, ids: set[int]) -> dict[int, tuple[Turn, ...]]:
    """The single questions about these records, by record. Raises UserError for files that are none of ECG-QA's."""
    listed = answers_by_template(folder)
    found: dict[int, list[QaTurn]] = {}
    for row in _rows(folder / wording):
        if row["question_type"].startswith("single") and row["ecg_id"][0] in ids:
            found.setdefault(row["ecg_id"][0], []).append(_turn(row, listed))
    return {ecg_id: tuple(turns) for ecg_id, turns in sorted(found.items())}


def _rows(folder: Path) -> Iterator[Mapping[str, Any]]:
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise UserError(f"{folder}: holds no JSON files; give --questions ECG-QA's folder")
    for path in paths:
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            for row in rows:
                _ = row["question_type"], row["ecg_id"][0], row["template_id"], row["question"], row["answer"]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{path}: {error!r}; it is no file of ECG-QA's") from None
        yield from rows


def _turn(row: Mapping[str, Any], listed: Mapping[int, Sequence[str]]) -> QaTurn:
    """A choice lists the two that it names, and none; other questions all answers of their template."""
    options: Sequence[str] = listed[row["template_id"]]
    if row["question_type"] == "single-choose":
        options = [option for option in options if option in row["attribute"] or option == "none"]
    kind = f"{row['question_type']}/{row['attribute_type']}/{row['template_id']}"
    return made(row["question"], options, row["answer"], kind)


def made(question: str, options: Sequence[str], answer: Sequence[str], kind: str) -> QaTurn:
    """A question in ECGBench's form with its gold answer."""
    return QaTurn(_FORM.format(question=question, options=", ".join(options)), ", ".join(answer), kind)


def generated(database: PtbXl, ids: Sequence[int], listed: Mapping[int, Sequence[str]]) -> dict[int, tuple[Turn, ...]]:
    """Of each record: a query for each set of statements and for the axis, a choice and a yes or no out of each set,
    half of them with an attribute that it has where it has one. Drawn from the record's number."""
    return {ecg_id: tuple(_of_record(database, ecg_id, listed)) for ecg_id in ids}


def _of_record(database: PtbXl, ecg_id: int, listed: Mapping[int, Sequence[str]]) -> Iterator[QaTurn]:
    from pulse.ecg.ptbxl import superclasses

    rng, codes = np.random.default_rng([9, ecg_id]), database.scp_codes(ecg_id)
    has = set(codes) | superclasses(codes)
    labels = {attribute.name: attribute.labels for attribute in attributes()}
    for template, words in _SETS.items():
        # A comma inside a name would end the option.
        names = [name for name in listed[template] if "," not in name]
        true = [name for name in names if set(labels.get(name, ())) & has]
        yield from _three(words, "scp_code", template, names, true, rng)
    axis = _AXES.get(str(database.about(ecg_id)["heart_axis"] or ""))
    if axis is not None:
        yield from _three("directions of the heart axis", "heart_axis", 21, listed[21], [axis], rng)


def _three(
    words: str, attribute: str, template: int, names: Sequence[str], true: Sequence[str], rng: np.random.Generator
) -> Iterator[QaTurn]:
    kind = f"{attribute}/{template}"
    false = [name for name in names if name not in true and name != "none"]
    yield made(f"What {words} does this ECG show?", names, true or ["none"], f"single-query/{kind}")
    if len(false) < 2:
        return  # it has nearly all of them
    one = str(rng.choice(true if true and rng.random() < 0.5 else false))
    other = str(rng.choice([name for name in false if name != one]))
    pair = [one, other] if rng.random() < 0.5 else [other, one]
    gold = [name for name in pair if name in true] or ["none"]
    yield made(f"Which {words} does this ECG show, {pair[0]} or {pair[1]}?", [*pair, "none"], gold,
               f"single-choose/{kind}")  # fmt: skip
    yes = "yes" if one in true else "no"
    yield made(f"Does this ECG show {one}?", ["no", "yes"], [yes], f"single-verify/{kind}")
