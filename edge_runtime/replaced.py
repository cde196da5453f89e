"""Rate, intervals and axis in a model's words: the measured ones take the place of its own, and what it said stays.

"About 90 beats per minute" becomes "72 beats per minute (measured; the model said 90)"; where both agree, as closely as
a page can be measured, "88 beats per minute (measured)"; where nothing was measured, "About 90 beats per minute (not
measured)". An interval that is not what it is called is said to be so: "Prolonged PR of 168 ms (measured: normal; the
model said 220)". Numbers of a range, a limit or a denial are left as they are, and so is what is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.evidence import Evidence
from edge_runtime.named import CLAUSE_END
from edge_runtime.qualified import judged_against
from edge_runtime.waves.normal import axis_name

_APART = {"rate_bpm": 5, "pr_ms": 20, "qrs_ms": 12, "qt_ms": 25, "qtc_bazett_ms": 25, "qtc_fridericia_ms": 25}
_AXIS_APART = 15
_MEANT = {  # degrees, by a model's words: reports seldom tell "left" from "marked left"
    "normal": (-30, 90),
    "left": (-90, -30),
    "marked left": (-90, -45),
    "right": (90, 180),
    "marked right": (120, 180),
    "extreme": (-180, -90),
}
_ABOUT = r"(?:(?:about|approximately|approx\.?|around|roughly|circa|ca\.|~)\s*)?"
_NOT_A_RANGE = r"(?<![\d.<>≤≥–-])(?<!\d [–-] )(?<!to )(?<!and )"
_DEGREES = r"[-−+]?\d{1,3}\s*(?:degrees?|°)"
_RATE = re.compile(
    rf"(?P<about>{_ABOUT}){_NOT_A_RANGE}(?P<value>\d{{2,3}})"
    r"(?P<unit>\s*(?:beats?\s*(?:per|a|/)\s*min(?:ute)?|bpm|/\s*min)\b)",
    re.IGNORECASE,
)
_RATE_NAMED = re.compile(
    rf"\b(?:heart|ventricular)\s+rate\b[^\d;,\n]{{0,20}}?(?P<about>{_ABOUT}){_NOT_A_RANGE}(?P<value>\d{{2,3}})"
    r"(?P<unit>)(?!\s*(?:\d|beats?\b|bpm\b|/\s*min|%))",
    re.IGNORECASE,
)
_INTERVAL = re.compile(
    r"\b(?P<name>P-?R|QRS|(?:corrected\s+QT|QTc)|QT)\b(?P<gap>(?:(?!\b(?:P-?R|QRS|QTc?|ST|RR)\b)[^\d;,\n]){0,60}?)"
    rf"(?P<about>{_ABOUT}){_NOT_A_RANGE}"
    r"(?P<value>\d{2,3}|0?\.\d{2,3})(?P<unit>\s*(?:ms(?:ec)?|milliseconds?|s(?:ec(?:onds?)?)?)\b)",
    re.IGNORECASE,
)
_AXIS = re.compile(
    r"\b(?:(?P<degree>marked|extreme|severe|pathological|moderate|mild|slight)\s+)?"
    r"(?:(?P<side>left|right)(?:ward)?[\s-]+axis(?:\s+deviation)?|(?P<normal>normal)\s+(?:(?:cardiac|electrical|QRS|"
    r"frontal(?:\s+plane)?)\s+)*axis|(?P<extreme>extreme)\s+axis(?:\s+deviation)?)\b"
    rf"(?:\s*(?:,|:|at|of|\()?\s*{_ABOUT}{_DEGREES}\)?)?",
    re.IGNORECASE,
)
_AXIS_DEGREES = re.compile(
    rf"(?<!P )(?<!T )(?<!wave )\baxis\b[^\d;,\n+−-]{{0,30}}?(?P<about>{_ABOUT})(?P<value>[-−+]?\d{{1,3}})"
    r"(?P<unit>\s*(?:degrees?\b|°))",
    re.IGNORECASE,
)
# What stands before a value that is a limit, a denial, or another rate than the ventricles'.
_SPARED = re.compile(
    r"(?:\b(?:no|not|without|between|from|above|below|over|under|exceed\w*|less than|more than|greater than|at least|"
    r"at most|up to|limits?|range|atrial(?:\s+\w+)?\s+rate|paced\s+at)\b[^.;,\n]*|[<>≤≥]\s*)$",
    re.IGNORECASE,
)
_RANGE_AFTER = re.compile(r"\s*(?:-|–|to\b|and\b)\s*-?\d")


@dataclass(frozen=True)
class Replaced:
    """One number or name in a model's words. what: the key of Measurements. said: in its own words. measured: what was,
    None where nothing could be. differs: whether by more than a page can be measured to."""

    what: str
    said: str
    measured: float | None
    differs: bool


def replace(text: str, measured: dict[str, float | None]) -> tuple[str, list[Replaced]]:
    """The text with what was measured in the place of what it says, and each of these places.

    measured: of the keys of Measurements, None where one could not be had.
    """
    made, at, found = "", 0, []
    for begin, end, put, about in sorted(_places(text, measured), key=lambda place: place[:2]):
        if begin >= at:
            made, at = made + text[at:begin] + put, end
            found.append(about)
    return made + text[at:], found


class Rewriting:
    """Put an answer's pieces in with `push`, the end with `close`; what comes back may be shown. Text passes clause by
    clause.

    report: what was measured and the model did not name is told at the end. replaced: the places so far.
    """

    def __init__(self, evidence: Evidence, report: bool) -> None:
        self._evidence, self._report = evidence, report
        self._measured = evidence.values
        self._held, self._passed = "", ""
        self.replaced: list[Replaced] = []

    def push(self, piece: str) -> str:
        """The text of the clauses that this piece completes; often ""."""
        self._held += piece
        ends = list(CLAUSE_END.finditer(self._held))
        whole = ends[-1].end() if ends else 0
        passed, self._held = self._pass(self._held[:whole]), self._held[whole:]
        return passed

    def close(self) -> str:
        """The last clause, and of a report the sentence with the rest of what was measured."""
        passed, self._held = self._pass(self._held), ""
        if not self._report:
            return passed
        named = {one.what for one in self.replaced if one.measured is not None}
        rest = self._evidence.sentence(named)
        in_line = self._passed.rstrip().endswith((".", "!", "?")) and "\n" not in self._passed
        return f"{passed}{' ' if in_line else chr(10)}{rest}" if rest else passed

    def _pass(self, text: str) -> str:
        made, found = replace(text, self._measured)
        self.replaced += found
        self._passed += made
        return made


_Place = tuple[int, int, str, Replaced]


def _places(text: str, measured: dict[str, float | None]) -> Iterator[_Place]:
    for match in _INTERVAL.finditer(text):
        if not _spared(text, match, "name"):
            yield _interval(match, measured)
    for pattern in (_RATE, _RATE_NAMED):
        for match in pattern.finditer(text):
            if not _spared(text, match):
                yield _number("rate_bpm", match, int(match["value"]), measured["rate_bpm"], match["unit"])
    for match in _AXIS.finditer(text):
        if not _spared(text, match):
            yield _axis(match, measured["qrs_axis_deg"])
    for match in _AXIS_DEGREES.finditer(text):
        if not _spared(text, match):
            said = float(match["value"].replace("−", "-"))
            yield _number("qrs_axis_deg", match, said, measured["qrs_axis_deg"], match["unit"])


def _spared(text: str, match: re.Match[str], name: str | int = 0) -> bool:
    """Whether a place tells no value of this ECG. name: the group with which it begins."""
    groups = match.groupdict()
    if _SPARED.search(text[: match.start(name)]) or _SPARED.search(groups.get("gap", "")):
        return True
    return "value" in groups and _RANGE_AFTER.match(text, match.end("value")) is not None


def _interval(match: re.Match[str], measured: dict[str, float | None]) -> _Place:
    name = match["name"].upper().replace("-", "")
    corrected = "qtc_fridericia_ms" if "fridericia" in match["gap"].lower() else "qtc_bazett_ms"
    key = {"PR": "pr_ms", "QRS": "qrs_ms", "QT": "qt_ms"}.get(name, corrected)
    value, unit = float(match["value"]), match["unit"].strip().lower()
    in_ms, found = value if unit.startswith("m") else 1000 * value, measured[key]
    judged = None if found is None else judged_against(match.string, match.span("name"), match.end("unit"), key, found)
    return _number(key, match, in_ms, found, " ms", judged)


def _number(
    key: str, match: re.Match[str], said: float, value: float | None, unit: str, judged: str | None = None
) -> _Place:
    """judged: what the value is where the words around it say something else."""
    words = f"{match['about']}{match['value']}{match['unit']}"
    begin, end = match.start("about"), match.end("unit")
    if value is None:
        return begin, end, f"{words} (not measured)", Replaced(key, words, None, False)
    differs = abs(said - round(value)) > _APART.get(key, _AXIS_APART)
    own = match["value"] if unit == match["unit"] else f"{match['value']}{match['unit']}"
    note = f"measured: {judged}" if judged else "measured"
    note += f"; the model said {own}" if differs else ""
    return begin, end, f"{round(value)}{unit} ({note})", Replaced(key, words, round(value), differs)


def _axis(match: re.Match[str], value: float | None) -> _Place:
    said = match[0]
    if value is None:
        return *match.span(), f"{said} (not measured)", Replaced("qrs_axis_deg", said, None, False)
    low, high = _MEANT[_meant(match)]
    degrees = round(value)
    differs = not low <= degrees <= high
    about = Replaced("qrs_axis_deg", said, degrees, differs)
    if not differs:
        return *match.span(), f"{said} (measured: {degrees} degrees)", about
    name = axis_name(value)
    name = name[:1].upper() + name[1:] if said[:1].isupper() else name
    lower = said[:1].lower() + said[1:]
    return *match.span(), f"{name}, {degrees} degrees (measured; the model said {lower})", about


def _meant(match: re.Match[str]) -> str:
    if match["normal"]:
        return "normal"
    if match["side"] is None:
        return "extreme"
    strong = (match["degree"] or "").lower() in ("marked", "extreme", "severe", "pathological")
    return f"{'marked ' if strong else ''}{match['side'].lower()}"
