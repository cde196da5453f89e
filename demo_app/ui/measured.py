"""The table of what was measured, its normal ranges, and the leads to go to."""

from __future__ import annotations

from collections.abc import Callable

from kivy.graphics import Color, Rectangle
from kivy.metrics import dp
from kivy.uix.gridlayout import GridLayout
from kivy.uix.widget import Widget
from kivy.utils import get_color_from_hex as rgb

from demo_app.evidence import Line, Measured, notes, table
from demo_app.marks import WAVES
from demo_app.ui import style
from demo_app.ui.controls import PushButton
from demo_app.ui.style import gap, t
from demo_app.ui.traces import TraceView
from demo_app.ui.widgets import Card, Column, Row, Space, Text
from edge_runtime.leads import LEADS


class MeasuredCard(Card):
    """Of what was kept of a page; view: where the page and its traces are shown, None where there are no traces."""

    def __init__(self, measured: Measured, view: TraceView | None = None) -> None:
        language = style.now.language
        parts: list[Widget] = [Text(t("measured.title"), 15, bold=True), Text(t("measured.hint"), 12, "muted")]
        parts += [Text(note, 14) for note in notes(measured, language)]
        parts += [_row(line) for line in table(measured, language)]
        if not measured.problem:
            parts.append(Text(t("measured.source"), 12, "muted"))
        if view is not None and view.traces:
            parts += _leads(view)
        super().__init__(*parts, space=0.6)
        self.name = "measured"


def _row(line: Line) -> Widget:
    value = Text(line.value, 14, "text" if line.value != t("measured.absent") else "muted", halign="right")
    value.bold = bool(line.outside)
    value.size_hint_x = 0.55
    parts: list[Widget] = [Row(Text(line.name, 14, bold=bool(line.outside)), value)]
    if told := ". ".join(part[:1].upper() + part[1:] for part in (line.outside, line.normal) if part):
        parts.append(Text(told, 12, "muted"))
    return Column(*parts, space=0.1)


def _leads(view: TraceView) -> list[Widget]:
    """A button for each lead, rhythm strips below; one for the whole page, and one that takes the traces away."""
    grid = GridLayout(cols=4 if style.crowded() else 6, spacing=gap(0.5), size_hint_y=None)
    grid.bind(minimum_height=grid.setter("height"))
    strips: list[Widget] = []
    seen: set[str] = set()
    order = [*LEADS, *(f"-{lead}" for lead in LEADS)]
    for index, trace in sorted(enumerate(view.traces), key=lambda item: order.index(item[1].lead)):
        again = trace.lead in seen
        words = t("measured.strip", lead=trace.lead) if again else trace.lead
        name = f"lead.{trace.lead}{'.strip' if again else ''}"
        (strips.append if again else grid.add_widget)(PushButton(words, _going(view, index), "", "soft", name))
        seen.add(trace.lead)
    whole = PushButton(t("measured.whole"), view.fit, "whole", "plain", "lead.whole")
    switch = _switch(view)
    last = Column(whole, switch, space=0.75) if style.crowded() else Row(whole, switch)
    return [Space(0.1), _legend(), Text(t("measured.leads"), 12, "muted"), grid, *strips, last]


def _going(view: TraceView, index: int) -> Callable[[], object]:
    return lambda: view.jump(index)


def _switch(view: TraceView) -> PushButton:
    def words() -> str:
        return t("measured.hide") if view.shown else t("measured.show")

    def turn() -> None:
        view.show(view.traces, not view.shown)
        assert button.label is not None
        button.label.text = button.says = words()

    button = PushButton(words(), turn, "", "plain", "traces")
    return button


def _legend() -> Widget:
    """The waves' names beside their colours."""
    parts = []
    for kind, colour in WAVES.items():
        swatch = Widget(size_hint=(None, None), size=(dp(18), dp(4)), pos_hint={"center_y": 0.5})
        with swatch.canvas:
            Color(*rgb(colour))
            box = Rectangle(pos=swatch.pos, size=swatch.size)
        swatch.bind(pos=lambda me, pos, box=box: setattr(box, "pos", pos))
        parts += [swatch, Text(kind, 13, pos_hint={"center_y": 0.5})]
    return Row(*parts, space=0.5)
