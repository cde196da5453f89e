"""What can be asked about one ECG: single values, and sets of statements, each with what is wrong about it as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pulse.ecg.labels import AXES
from pulse.ecg.ptbxl import scp_statements
from pulse.instruct.facts import Facts, statement_words
from pulse.instruct.intervals import Intervals

FEATURE, RHYTHM, MORPHOLOGY, REPORT = "feature", "rhythm", "morphology", "report"


@dataclass(frozen=True)
class Value:
    """One thing with one value. others: wrong values of the same kind; comment: a clause about the value, or ""."""

    family: str
    subject: str
    value: str
    others: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True)
class Set:
    """Statements that hold, and ones of the same kind that do not; kind is what they are called."""

    family: str
    kind: str
    held: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """All that is known of one record, ready to be asked about. machine: the 12SL program's statements in words."""

    facts: Facts
    intervals: Intervals = field(default_factory=Intervals)
    machine: tuple[str, ...] = ()

    def values(self) -> list[Value]:
        """Rate, PR, QRS, QT, QTc and axis, as far as known."""
        of, found = self.intervals, []
        if of.rate is not None:
            rate = round(of.rate)
            wrong = (0.55, 0.7, 1.35, 1.6)
            comment = "below 60: bradycardia" if rate < 60 else "above 100: tachycardia" if rate > 100 else "normal"
            found.append(_number("heart rate", rate, "beats per minute", 1, wrong, comment))
        for subject, value, low, high in (
            ("PR interval", of.pr, 120, 200),
            ("QRS duration", of.qrs, 0, 110),
            ("QT interval", of.qt, 0, 0),
            ("corrected QT interval (Bazett)", of.qtc if of.qt is not None else None, 340, 460),
        ):
            if value is not None:
                comment = "" if not high else "short" if value < low else "prolonged" if value > high else "normal"
                found.append(_number(subject, value, "ms", 10, (0.6, 0.75, 1.35, 1.6), comment))
        if self.facts.axis in AXES:
            words = AXES[self.facts.axis]
            found.append(Value(FEATURE, "electrical axis", words, tuple(w for w in AXES.values() if w != words)))
        return found

    def sets(self) -> list[Set]:
        """Rhythm, morphology and what the analysis program stated; a kind without statements is left out."""
        table, codes = scp_statements(), self.facts.scp_codes
        found = []
        for family, kind, rhythm in ((RHYTHM, "rhythm", True), (MORPHOLOGY, "finding", False)):
            of_kind = [code for code in table if table[code].rhythm == rhythm]
            held = tuple(_words(code) for code in of_kind if code in codes)
            others = tuple(_words(code) for code in of_kind if code not in codes)
            if held:
                found.append(Set(family, kind, held, _apart(others, held)))
        if self.machine:
            found.append(Set(MORPHOLOGY, "statement of the analysis program", self.machine, ()))
        return found

    def report(self) -> dict[str, str]:
        """The report's sections in their order, each a sentence or more without its heading."""
        axis = self.facts.axis_text()
        measured = [f"{item.subject} {item.value}" for item in self.values() if item.subject != "electrical axis"]
        sections = {
            "Rhythm": self.facts.rhythm_text(),
            "Measurements": "; ".join(measured) + "." if measured else "",
            "Axis": axis,
            "Findings": self.facts.findings_text(),
            "Conclusion": f"{'normal' if self.facts.classes() == ('NORM',) else 'abnormal'} ECG.",
        }
        return {name: text[:1].upper() + text[1:] for name, text in sections.items() if text}


def _words(code: str) -> str:
    return "a normal ECG" if code == "NORM" else statement_words(code)


def _number(subject: str, value: int, unit: str, step: int, wrong: Sequence[float], comment: str) -> Value:
    others = tuple(f"{step * round(value * factor / step)} {unit}" for factor in wrong)
    return Value(FEATURE, subject, f"{value} {unit}", others, comment)


def machine_words(acronyms: Sequence[str], texts: Mapping[str, str]) -> tuple[str, ...]:
    """The 12SL program's statements in words, from its acronyms and their texts (PtbXl.sl12, .sl12_texts). Reasons in
    brackets are left out, ", age undetermined" and its like belong to the statement before."""
    words: list[str] = []
    inside = False
    for acronym in acronyms:
        text = texts.get(acronym, "").strip()
        inside = (inside or acronym == "LPAREN") and acronym != "RPAREN"
        if inside or not any(character.isalpha() for character in text):
            continue
        if text.startswith(",") and words:
            words[-1] += text
        else:
            # "Left axis" reads on in a sentence, "T wave" and "ST" stay.
            words.append(text[:1].lower() + text[1:] if text[1:2].islower() else text)
    return tuple(dict.fromkeys(words))


def _apart(others: Sequence[str], held: Sequence[str]) -> tuple[str, ...]:
    """Without statements that are part of one that holds, or the other way round: those are not wrong."""
    return tuple(text for text in others if not any(text in other or other in text for other in held))
