"""Keeps a free answer and the table of findings from contradicting each other, and from saying the same thing twice.

A model that writes reports names findings by habit; asked about one of them alone, it gives a probability. A clause
that names a finding which does not reach its operating point is left out as a whole: to make the model say something
else in its place would put in words that it had not chosen. So text passes clause by clause, not word by word. A report
ends with the findings that reach theirs and that it has not named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from edge_runtime.constrain import Choices
from edge_runtime.findings import Finding
from edge_runtime.inference import FindingSpec
from edge_runtime.named import CLAUSE_END, Names

# Of a finding without an operating point: on 200 records of PTB-XL's fold 9 the largest that cost pulse-nano's reports
# nothing (docs/ecgbench.md).
LOW = 0.1
NOTHING_LEFT = "No finding is likely enough to be named."
ALSO = "Likely as well: "
_NO_MORE = ("no other findings",)
_LETTER = re.compile(r"[^\W\d_]")


def decided(listed: Choices, findings: Sequence[Finding]) -> Choices:
    """The choices that findings with operating points leave: where every option is such a finding's label, all that
    reach theirs in one answer, or the one nearest to it where none does. Other choices stay as they are."""
    known = {finding.label: finding for finding in findings if finding.point is not None}
    if not listed.separator or not set(listed.options) <= set(known):
        return listed
    likely = [option for option in listed.options if known[option].likely]
    if not likely:
        likely = [max(listed.options, key=lambda option: known[option].probability / (known[option].point or 1.0))]
    return Choices((listed.separator.join(likely),))


class Guard:
    """Put an answer's pieces in with `push`, the end with `close`; what comes back may be shown.

    findings: whose names are watched; score: of one of them, asked for when a clause names it. report: the answer is to
    name every finding that reaches its operating point. left_out: the clauses that were not passed on, in their order.
    """

    def __init__(
        self, findings: Sequence[FindingSpec], score: Callable[[FindingSpec], Finding], report: bool = False
    ) -> None:
        self._specs = {spec.label: spec for spec in findings}
        self._names = Names({spec.label: spec.words for spec in findings})
        # What denies a finding is told by the same rules as what names it.
        self._against = Names({spec.label: spec.against for spec in findings if spec.against})
        self._score, self._report = score, report
        self._held = ""  # text whose clause is not finished
        self._between = ""  # what stands between the last clause passed on and the next one
        self._said: set[str] = set()
        self._named: set[str] = set()
        self._added = ""
        self.left_out: list[str] = []

    @property
    def changed(self) -> bool:
        """Whether what was passed on is not what was put in."""
        return bool(self.left_out or self._added)

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

    def close(self, finished: bool = True) -> str:
        """The last clause and its full stop; what a report that was not cut off has not named; a sentence that says so
        where nothing is left of the answer."""
        clause = self._held.rstrip(".;")
        passed = self._clause(clause, self._held[len(clause) :]) if clause else ""
        end = ""
        if self._said:
            end = self._between.rstrip().replace(";", ".")
            passed += end
        also = "; ".join(spec.told for spec in self._unnamed()) if finished else ""
        if also:
            self._added = f"{'' if not self._said else ' ' if end else '. '}{ALSO}{also}."
            return passed + self._added
        return passed if self._said or not self.left_out else NOTHING_LEFT

    def _unnamed(self) -> list[FindingSpec]:
        """Findings that a report has to name still."""
        if not self._report:
            return []
        return _closest(
            [
                spec
                for spec in self._specs.values()
                if spec.label not in self._named and spec.calibration is not None and self._score(spec).likely
            ]
        )

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
        self._named.update(self._names(clause))
        self._between = end
        return passed

    def _is_unlikely(self, clause: str) -> bool:
        named = _closest([self._specs[label] for label in self._names(clause)])
        if not all(self._may_be_named(spec) for spec in named):
            return True
        if any(self._score(self._specs[label]).likely for label in self._against(clause)):
            return True
        return clause.strip().lower().rstrip(".") in _NO_MORE and bool(self._unnamed())

    def _may_be_named(self, spec: FindingSpec) -> bool:
        found = self._score(spec)
        return found.probability >= LOW if found.point is None else found.likely


def _closest(named: list[FindingSpec]) -> list[FindingSpec]:
    """Without those that another one is a kind of: "left ventricular hypertrophy" speaks of that, not of hypertrophy at
    large, whose words are its own and more."""
    return [spec for spec in named if not any(set(other.words) < set(spec.words) for other in named)]
