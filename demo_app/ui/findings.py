"""The findings as bars."""

from __future__ import annotations

from collections.abc import Sequence

from kivy.uix.widget import Widget

from demo_app.strings import finding_name, finding_worth
from demo_app.ui import style
from demo_app.ui.style import t
from demo_app.ui.widgets import Bar, Card, Column, Row, Space, Text
from edge_runtime.findings import Finding


class Findings(Card):
    """Bars, the likeliest first; each finds its place as it comes."""

    def __init__(self, findings: Sequence[Finding] = ()) -> None:
        title, hint = Text(t("result.finding.title"), 15, bold=True), Text(t("result.finding.hint"), 12, "muted")
        self._rows: list[tuple[float, str]] = []
        super().__init__(title, hint, Space(0.1))
        self.name = "findings"
        self.show(findings)

    def show(self, findings: Sequence[Finding], most: int | None = None) -> bool:
        """Add those that are not there yet, at most so many of them; whether all are there now."""
        there = {label for _, label in self._rows}
        missing = [finding for finding in findings if finding.label not in there]
        for finding in missing[:most]:
            rank = (-finding.probability, finding.label)
            self._rows = sorted([*self._rows, rank])
            # Kivy counts children from the foot.
            self.add_widget(_row(finding), len(self._rows) - 1 - self._rows.index(rank))
        return most is None or len(missing) <= most


def _row(finding: Finding) -> Widget:
    strong, probability = finding.likely, finding.probability
    share = Text(f"{100 * probability:.0f} %", 14, "text" if strong else "muted", halign="right", bold=strong)
    share.size_hint_x, share.width = None, style.text_size(14) * 3.2
    words = Text(finding_name(style.now.language, finding), 14, "text" if strong else "muted", bold=strong)
    parts = [Row(words, share), Bar(probability, strong, 6)]
    if told := finding_worth(style.now.language, finding):
        parts.append(Text(told, 12, "muted"))
    return Column(*parts, space=0.3)
