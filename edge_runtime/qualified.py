"""Whether the words about an interval ("prolonged", "normal", "wide") fit what was measured of it."""

from __future__ import annotations

import re

from edge_runtime.named import CLAUSE_END
from edge_runtime.waves.normal import NORMAL

# What a model may call a value, and the judgements of waves.normal that the word fits.
_WORDS = {
    r"prolong\w*|long(?:er)?|widen\w*|wide|broad\w*|increased": ("high", "high_in_men"),
    r"short\w*": ("low",),
    r"narrow\w*": ("low", "normal"),
    r"normal": ("normal", "high_in_men"),
}
_WORD = re.compile("|".join(rf"\b({words})\b" for words in _WORDS), re.IGNORECASE)
_FITS = tuple(_WORDS.values())
_DENIED = re.compile(r"\b(?:no|not|without|never|than|if)\s+(?:\w+\s+)?$", re.IGNORECASE)
_NAME = re.compile(r"\b(?:P-?R|QRS|QTc?|ST|RR|T|P|axis|rate|rhythm|ECG)\b", re.IGNORECASE)
_JUDGED = {
    "pr_ms": {"low": "short", "high": "prolonged"},
    "qrs_ms": {"high": "wide"},
    "qtc_bazett_ms": {"low": "short", "high": "prolonged", "high_in_men": "prolonged in men"},
}
_JUDGED["qtc_fridericia_ms"] = _JUDGED["qtc_bazett_ms"]


def judged_against(text: str, name: tuple[int, int], end: int, key: str, value: float) -> str | None:
    """What the value is by its normal range ("normal", "prolonged" ...) where the words about it say something else.

    name: where the interval's name stands in text; end: behind its number. key: of Measurements. Only words of the same
    clause that stand next to this name, and not to another, count; None where there are none, or they fit.
    """
    if key not in _JUDGED:
        return None
    judgement = NORMAL[key].judge(value)
    around = (_before(text, name[0]), text[name[1] : end], _after(text, end))
    said = [match for part in around for match in _WORD.finditer(part) if not _DENIED.search(part[: match.start()])]
    if not said or any(judgement in _FITS[(match.lastindex or 1) - 1] for match in said):
        return None
    return _JUDGED[key].get(judgement, "normal")


def _before(text: str, begin: int) -> str:
    """The clause up to `begin`, from the last name of something else on."""
    ends = [match.end() for pattern in (CLAUSE_END, _NAME) for match in pattern.finditer(text, 0, begin)]
    return text[max(ends, default=0) : begin]


def _after(text: str, end: int) -> str:
    """The clause from `end` on, up to a comma or the next name: behind those another value is told of."""
    stops = [match.start() for pattern in (CLAUSE_END, _NAME) if (match := pattern.search(text, end))]
    return re.split(r",|\band\b", text[end : min(stops, default=len(text))])[0]
