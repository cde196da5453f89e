"""From what is known of one record to its conversations: every family and form of ECGInstruct, up to four turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pulse.instruct import templates as t
from pulse.instruct.items import REPORT, Known, Set, Value
from pulse.instruct.questions import Turn

CLOSE, OPEN, FILL, CHOICE = "close-ended", "open-ended", "fill-in", "multiple-choice"
LETTERS = "ABCD"
MORE_TURNS = 0.35  # chance of each further turn, up to MOST_TURNS
MOST_TURNS = 4


@dataclass(frozen=True)
class Piece:
    """A turn, with its family and form."""

    family: str
    form: str
    turn: Turn


def conversations(known: Known, count: int, rng: np.random.Generator) -> list[list[Piece]]:
    """`count` conversations about one page, the first opening with the report; no question twice in one of them."""
    families = list(_makers(known).values())
    made = []
    for number in range(count):
        pieces = [_report(known, rng) if number == 0 or not families else _one(_one(families, rng), rng)(rng)]
        while families and len(pieces) < MOST_TURNS and rng.random() < MORE_TURNS:
            piece = _one(_one(families, rng), rng)(rng)
            if piece.turn.question not in {before.turn.question for before in pieces}:
                pieces.append(piece)
        made.append(pieces)
    return made


_T = TypeVar("_T")
_Maker = Callable[[np.random.Generator], Piece]


def _makers(known: Known) -> dict[str, list[_Maker]]:
    """By family, one for each form that each item can be asked in: the families are drawn equally often."""
    makers: dict[str, list[_Maker]] = {}
    for value in known.values():
        forms = (_open_value, _close_value, _fill_value, _choice_value)
        makers.setdefault(value.family, []).extend(_bound(make, value) for make in forms)
    for held in known.sets():
        kinds = (_open_set, _close_set, _fill_set, _choice_set) if held.others else (_open_set,)
        makers.setdefault(held.family, []).extend(_bound(make, held) for make in kinds)
    return makers


def _bound(make: Callable[[Any, np.random.Generator], Piece], item: Value | Set) -> _Maker:
    return lambda rng: make(item, rng)


def _open_value(item: Value, rng: np.random.Generator) -> Piece:
    answer = _say(t.SAY_VALUE, rng, subject=item.subject, value=item.value)
    if item.comment and rng.random() < 0.5:
        answer += _say(t.COMMENT, rng, comment=item.comment)
    return Piece(item.family, OPEN, Turn(_say(t.OPEN_VALUE, rng, subject=item.subject), answer))


def _close_value(item: Value, rng: np.random.Generator) -> Piece:
    right = rng.random() < 0.5
    asked = item.value if right else _one(item.others, rng)
    question = _say(t.CLOSE_VALUE, rng, subject=item.subject, value=asked)
    answer = _say(t.YES_VALUE if right else t.NO_VALUE, rng, subject=item.subject, value=item.value)
    return Piece(item.family, CLOSE, Turn(question, answer))


def _fill_value(item: Value, rng: np.random.Generator) -> Piece:
    return Piece(item.family, FILL, Turn(_say(t.FILL_VALUE, rng, subject=item.subject), item.value))


def _choice_value(item: Value, rng: np.random.Generator) -> Piece:
    options, answer = _lettered(item.value, item.others, rng)
    question = _say(t.CHOICE_VALUE, rng, subject=item.subject, options=options)
    return Piece(item.family, CHOICE, Turn(question, answer))


def _open_set(item: Set, rng: np.random.Generator) -> Piece:
    text = _sentence(_say(t.SAY_SET, rng, value="; ".join(item.held)))
    return Piece(item.family, OPEN, Turn(_one(t.OPEN_SET[item.kind], rng), text))


def _close_set(item: Set, rng: np.random.Generator) -> Piece:
    right = rng.random() < 0.5
    asked = _one(item.held if right else item.others, rng)
    answer = _say(t.YES_SET if right else t.NO_SET, rng, value=asked)
    return Piece(item.family, CLOSE, Turn(_say(t.CLOSE_SET, rng, value=asked), answer))


def _fill_set(item: Set, rng: np.random.Generator) -> Piece:
    question = _say(t.FILL_SET, rng, kind=item.kind)
    return Piece(item.family, FILL, Turn(question, _sentence("; ".join(item.held))))


def _choice_set(item: Set, rng: np.random.Generator) -> Piece:
    options, answer = _lettered(_one(item.held, rng), item.others, rng)
    return Piece(item.family, CHOICE, Turn(_say(t.CHOICE_SET, rng, kind=item.kind, options=options), answer))


def _report(known: Known, rng: np.random.Generator) -> Piece:
    heading, between = t.REPORT_FORMS[int(rng.integers(len(t.REPORT_FORMS)))]
    text = between.join(heading.format(name=name) + body for name, body in known.report().items())
    return Piece(REPORT, OPEN, Turn(_one(t.REPORT, rng), text))


def _lettered(right: str, others: Sequence[str], rng: np.random.Generator) -> tuple[str, str]:
    """Four lettered lines in a drawn order, and the right one of them."""
    wrong = [others[int(k)] for k in rng.choice(len(others), len(LETTERS) - 1, replace=False)]
    options = [str(option) for option in rng.permutation([right, *wrong])]
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)]
    return "\n".join(lines), lines[options.index(right)]


def _say(choices: Sequence[str], rng: np.random.Generator, **words: str) -> str:
    return _one(choices, rng).format(**words)


def _one(choices: Sequence[_T], rng: np.random.Generator) -> _T:
    return choices[int(rng.integers(len(choices)))]


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
