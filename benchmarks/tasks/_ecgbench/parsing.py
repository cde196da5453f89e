"""From an answer in words to what it is scored as, by the rules of PULSE's evaluation (arXiv 2410.19008,
evaluate_ecgbench.py). The rules are crude; they are kept as they are, or figures could not be compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.tasks._ecgbench.subset import Subset

SEED = 42


def labels(answer: str, subset: Subset) -> tuple[str, ...]:
    """Classes whose code is a case-sensitive substring of the answer, in the subset's order.

    CODE-15 looks only behind "Answer:" where that is present. "NORM" is also found in ABNORMAL, "ST" in STTC and STD.
    """
    if subset.name == "code15-test":
        answer = answer.rpartition("Answer:")[2]
    return tuple(code for code in subset.classes if code in answer)


class Letters:
    """Reads the letter of multiple-choice answers, one file's answers in their order: the seeded random choice for an
    answer without a letter moves on from one such answer to the next."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices, self._random = tuple(choices), random.Random(SEED)
        self.drawn = 0

    def __call__(self, answer: str) -> str:
        """The letter alone; else the first of "A.", "B.", ... by letter, not by place; else the letter behind "The
        correct option is "; else the first letter behind "Answer:"; else one drawn at random."""
        answer = answer.strip()
        if answer in self._choices:
            return answer
        for letter in self._choices:
            if f"{letter}." in answer:
                return letter
        _, found, rest = answer.partition("The correct option is ")
        if found and rest[:1] in self._choices:
            return rest[0]
        rest = answer.partition("Answer:")[2]
        for character in rest:
            if character in self._choices:
                return character
        self.drawn += 1
        return self._random.choice(self._choices)


def gold_letter(gold: str) -> str:
    """The first character of the gold answer, "C" of "C. IAVB(...)"."""
    return gold.strip()[:1]


def options(prompt: str) -> tuple[str, ...]:
    """ECG-QA's candidates: the prompt's line behind "Options:", split at commas, in lower case."""
    line = prompt.partition("Options:")[2].strip().partition("\n")[0]
    return tuple(option for option in (part.strip().lower() for part in line.split(",")) if option)


def selected(answer: str, candidates: Sequence[str]) -> frozenset[str]:
    """The candidates that are substrings of the answer in lower case."""
    return frozenset(option for option in candidates if option in answer.lower())


def joined(value: str | Sequence[str]) -> str:
    """A conversation's value as text: the published ecgqa-test stores lists of single characters."""
    return value if isinstance(value, str) else "".join(value)
