"""Cases like a page (edge_runtime/similar.py) in the app's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from demo_app.strings import label_name, translate
from edge_runtime.findings import Finding
from edge_runtime.similar import Case

SHOWN = 3
"""How many cases the app shows of a page."""
_OLDEST = 90


@dataclass(frozen=True)
class Words:
    """A case in words. statements: in PTB-XL's order. report: as PTB-XL has it, "" where there is none."""

    similarity: str
    statements: str
    report: str
    patient: str
    source: str


def in_words(cases: Sequence[Case], findings: Sequence[Finding], language: str) -> list[Words]:
    """findings: those of the model; a code that is one of their labels has its name, any other stays as it is."""
    names = {one.label: label_name(language, one.label, one.name) for one in findings if not one.examples}
    return [_in_words(case, names, language) for case in cases]


def _in_words(case: Case, names: dict[str, str], language: str) -> Words:
    statements = " · ".join(names.get(code, code) for code in case.statements)
    return Words(
        translate(language, "similar.similarity", value=f"{case.similarity:.2f}"),
        statements or translate(language, "similar.no_statements"),
        translate(language, "similar.report", words=case.report) if case.report.strip() else "",
        _patient(case, language),
        translate(language, "similar.record", record=case.record, source=case.source),
    )


def _patient(case: Case, language: str) -> str:
    parts = [] if case.sex is None else [translate(language, f"similar.{case.sex}")]
    if case.age is not None:
        key = "similar.oldest" if case.age >= _OLDEST else "similar.age"
        parts.append(translate(language, key, years=case.age))
    return ", ".join(parts) or translate(language, "similar.unknown")
