"""Which findings a text names: by their known words, clause by clause, without those that it denies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# A clause ends at a full stop or semicolon before white space (not inside "0.12"), or at a line break.
CLAUSE_END = re.compile(r"[.;](?=\s)\s*|\n\s*")
_DENIED = re.compile(
    r"\b(?:no|not|without|absen(?:t|ce of)|negative for|free of|rules? out|ruled out|excludes?)\b"
    r"(?!.*\b(?:but|with)\b)"
)


class Names:
    """words: label -> phrases that name it; a phrase may belong to several labels. Case does not count; a plural s may
    follow; of phrases that begin at the same place the longest is meant."""

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        self._labels: dict[str, list[str]] = {}
        for label, phrases in words.items():
            for phrase in phrases:
                self._labels.setdefault(phrase.lower(), []).append(label)
        longest_first = sorted(self._labels, key=len, reverse=True)
        # Without any phrase nothing may match: an empty alternation would match everywhere.
        self._phrase = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, longest_first)) or '(?!)'})s?(?!\w)")

    def __call__(self, text: str, denied: bool = False) -> list[str]:
        """Labels that the text names, each once, in its order. "No signs of infarction" names one only where what is
        denied counts as well; a denial reaches to the clause's end, or to a "but" or "with"."""
        found: dict[str, None] = {}
        for clause in CLAUSE_END.split(text.lower()):
            for match in self._phrase.finditer(clause):
                if denied or not _DENIED.search(clause[: match.start()]):
                    found.update(dict.fromkeys(self._labels[match[1]]))
        return list(found)
