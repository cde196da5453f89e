"""Keeps a free answer from naming what the model itself holds unlikely, and from saying the same thing twice.

A model that writes reports names findings by habit; asked about one of them alone, it gives a probability. A clause
that names a finding whose own probability is low is left out as a whole: to make the model say something else in its
place would put in words that it had not chosen. So text passes clause by clause, not word by word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from edge_runtime.inference import FindingSpec
from edge_runtime.named import CLAUSE_END, Names

# On 200 records of PTB-XL's fold 9 the largest that cost pulse-nano's reports nothing (docs/ecgbench.md).
LOW = 0.1
NOTHING_LEFT = "No finding is likely enough to be named."
_LETTER = re.compile(r"[^\W\d_]")


class Guard:
    """Put an answer's pieces in with `push`, the end with `close`; what comes back may be shown.

    findings: whose names are watched; probability: of one of them, asked for when a clause names it. left_out: the
    clauses that were not passed on, in their order.
    """

    def __init__(
        self, findings: Sequence[FindingSpec], probability: Callable[[FindingSpec], float], low: float = LOW
    ) -> None:
        self._specs = {spec.label: spec for spec in findings}
        self._names = Names({spec.label: spec.words for spec in findings})
        self._probability, self._low = probability, low
        self._held = ""  # text whose clause is not finished
        self._between = ""  # what stands between the last clause passed on and the next one
        self._said: set[str] = set()
        self.left_out: list[str] = []

    def push(self, piece: str) -> str:
        """The text of the clauses that this piece completes; often ""."""
        self._held += piece
        passed, begin = "", 0
        for end in CLAUSE_END.finditer(self._held):
            clause = self._held[begin : end.start()]
            if _LETTER.search(clause):  # else the number of a list's entry: part of what follows
                passed += self._clause(clause, end[0])
                begin = end.end()
        self._held = self._held[begin:]
        return passed

    def close(self) -> str:
        """The last clause and its full stop; a sentence that says so where nothing else is left of the answer."""
        clause = self._held.rstrip(".;")
        passed = self._clause(clause, self._held[len(clause) :]) if clause else ""
        if self._said:
            end = self._between.rstrip()
            return passed + ("." if end == ";" else end)
        return NOTHING_LEFT if self.left_out else passed

    def _clause(self, clause: str, end: str) -> str:
        words = " ".join(clause.lower().split())
        if (" " in words and words in self._said) or self._is_unlikely(clause):
            self.left_out.append(clause.strip())
            # The sentence that it closed still ends.
            if self._between.strip() == ";" and end.strip() not in ("", ";"):
                self._between = end
            return ""
        starts_sentence = self._between.strip() != ";"
        passed = self._between + (clause[:1].upper() + clause[1:] if self.left_out and starts_sentence else clause)
        self._said.add(words)
        self._between = end
        return passed

    def _is_unlikely(self, clause: str) -> bool:
        return any(self._probability(self._specs[label]) < self._low for label in self._names(clause))
