"""Arabic, Hebrew and their kin as a toolkit that knows no right-to-left can draw them: letters in their joined forms,
in the order in which they stand on the line from the left.

Unicode Standard Annex 9 (https://www.unicode.org/reports/tr9), without the explicit controls, which demo_app.fonts
takes out or shows; the joined forms are those of the blocks Arabic Presentation Forms A and B, by Python's own tables.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_FORMS = ("isolated", "final", "initial", "medial")
_STRONG = ("L", "R", "AL")
_TATWEEL = "\u0640"  # joins on both sides, and is its own form
_MIRRORED = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))


def is_needed(text: str) -> bool:
    """Whether any of it runs from right to left."""
    return not text.isascii() and any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)


def is_rtl(text: str) -> bool:
    """Whether the paragraph does: its first letter decides (rules P2 and P3)."""
    first = next((kind for c in text if (kind := unicodedata.bidirectional(c)) in _STRONG), "L")
    return first != "L"


def visual(line: str, rtl: bool) -> str:
    """One line from left to right, in joined letters. rtl: of its paragraph."""
    line = joined(line)
    levels = _levels(line, rtl)
    clusters: list[tuple[str, int]] = []
    for char, level in zip(line, levels, strict=True):
        # A mark stays behind its letter (L3); Arabic's are drawn over what comes next, which is that letter then.
        if clusters and unicodedata.category(char) == "Mn" and unicodedata.bidirectional(clusters[-1][0][0]) != "AL":
            clusters[-1] = (clusters[-1][0] + char, clusters[-1][1])
        else:
            clusters.append((_MIRRORED.get(char, char) if level % 2 else char, level))
    for level in range(max(levels, default=0), 0, -1):  # L2
        clusters = _reversed(clusters, level)
    return "".join(char for char, _ in clusters)


def joined(text: str) -> str:
    """Each Arabic letter in the form that its neighbours give it; lam and alef in one."""
    table = _table()
    together = re.sub("\u0644([\u064b-\u065f]*)([\u0622\u0623\u0625\u0627])", "\u0644\\2\\1", text)
    units = re.findall("\u0644[\u0622\u0623\u0625\u0627]|.", together, re.DOTALL)
    shaped = list(units)
    letters = [k for k, unit in enumerate(units) if unicodedata.category(unit[0]) not in ("Mn", "Cf")]
    for before, k, after in zip([None, *letters], letters, [*letters[1:], None], strict=False):
        forms = table.get(units[k], {})
        from_before = before is not None and _joins(units[before], "initial") and "final" in forms
        to_after = after is not None and _joins(units[after], "final") and "initial" in forms
        shaped[k] = forms.get(_FORMS[2 * to_after + from_before], units[k])
    return "".join(shaped)


def _joins(unit: str, form: str) -> bool:
    """initial: to what follows it; final: to what stands before it."""
    return unit == _TATWEEL or form in _table().get(unit, {})


@cache
def _table() -> dict[str, dict[str, str]]:
    """Letter, or lam with alef -> form -> character of the presentation blocks."""
    found: dict[str, dict[str, str]] = {}
    for code in (*range(0xFE70, 0xFEFD), *range(0xFB50, 0xFDFC)):
        kind, *parts = unicodedata.decomposition(chr(code)).split() or [""]
        letters = "".join(chr(int(part, 16)) for part in parts)
        ligature = len(letters) == 2 and letters[0] == "\u0644" and letters[1] in "\u0622\u0623\u0625\u0627"
        if kind.strip("<>") in _FORMS and (len(letters) == 1 or ligature):
            found.setdefault(letters, {}).setdefault(kind.strip("<>"), chr(code))
    return found


def _levels(text: str, rtl: bool) -> list[int]:
    """The embedding level of each character: rules W1 to W7, N1, N2, I1, I2 and L1 on a single run."""
    base = int(rtl)
    edge = "R" if rtl else "L"
    original = [unicodedata.bidirectional(c) or "L" for c in text]
    kinds = list(original)
    _weak(kinds, edge)
    _neutral(kinds, edge)
    levels = []
    for kind in kinds:
        odd = {"R": 1, "L": 0 if base == 0 else 1}.get(kind, 2 if base == 0 else 1)
        levels.append(base + odd if base == 0 else base + {"R": 0}.get(kind, 1))
    for k in range(len(text) - 1, -1, -1):  # L1: blanks at the line's end
        if original[k] not in ("WS", "S", "B", "BN"):
            break
        levels[k] = base
    return levels


def _weak(kinds: list[str], edge: str) -> None:
    strong = before = edge
    for k, kind in enumerate(kinds):
        if kind == "NSM":  # W1
            kinds[k] = kind = before
        if kind in _STRONG:
            strong = kind
        elif kind == "EN" and strong == "AL":  # W2
            kinds[k] = "AN"
        before = kinds[k]
    kinds[:] = ["R" if kind == "AL" else kind for kind in kinds]  # W3
    for k in range(1, len(kinds) - 1):  # W4
        if kinds[k] in ("ES", "CS") and kinds[k - 1] == kinds[k + 1] == "EN":
            kinds[k] = "EN"
        elif kinds[k] == "CS" and kinds[k - 1] == kinds[k + 1] == "AN":
            kinds[k] = "AN"
    for match in list(re.finditer("t+", "".join("t" if k == "ET" else "n" if k == "EN" else "." for k in kinds))):
        beside = {kinds[k] for k in (match.start() - 1, match.end()) if 0 <= k < len(kinds)}
        if "EN" in beside:  # W5
            kinds[match.start() : match.end()] = ["EN"] * len(match[0])
    strong = edge
    for k, kind in enumerate(kinds):
        if kind in ("ES", "ET", "CS"):  # W6
            kinds[k] = "ON"
        elif kind in ("L", "R"):
            strong = kind
        elif kind == "EN" and strong == "L":  # W7
            kinds[k] = "L"


def _neutral(kinds: list[str], edge: str) -> None:
    """Between two of one direction they take it, else the paragraph's; numbers count as right to left."""
    sides = ["R" if kind in ("R", "EN", "AN") else kind if kind == "L" else "" for kind in kinds]
    k = 0
    while k < len(kinds):
        if sides[k]:
            k += 1
            continue
        end = next((j for j in range(k, len(kinds)) if sides[j]), len(kinds))
        left, right = sides[k - 1] if k else edge, sides[end] if end < len(kinds) else edge
        kinds[k:end] = [left if left == right else edge] * (end - k)
        k = end


def _reversed(clusters: list[tuple[str, int]], level: int) -> list[tuple[str, int]]:
    """Every stretch of at least this level turned round."""
    turned: list[tuple[str, int]] = []
    k = 0
    while k < len(clusters):
        end = k
        while end < len(clusters) and clusters[end][1] >= level:
            end += 1
        turned += clusters[k:end][::-1] if end > k else clusters[k : k + 1]
        k = max(end, k + 1)
    return turned
