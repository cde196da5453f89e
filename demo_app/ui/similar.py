"""The card of cases that are like the page."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.uix.widget import Widget

from demo_app.similar import Words, in_words
from demo_app.ui import style
from demo_app.ui.style import t
from demo_app.ui.widgets import Card, Column, Text
from edge_runtime.findings import Finding
from edge_runtime.similar import Case


class SimilarCard(Card):
    """Cases, the most similar first; findings: those of the model, whose names stand for codes."""

    def __init__(self, cases: Sequence[Case], findings: Sequence[Finding]) -> None:
        head = Text(t("similar.title"), 15, bold=True), Text(t("similar.hint"), 12, "muted")
        super().__init__(*head, *map(_case, in_words(cases, findings, style.now.language)), space=1)
        self.name = "similar"


def _case(words: Words) -> Widget:
    parts = [Text(words.statements, 14, bold=True), Text(f"{words.similarity} · {words.patient}", 13)]
    if words.report:
        parts.append(Text(words.report, 13))
    return Column(*parts, Text(words.source, 12, "muted"), space=0.2)
