"""The page found in the picture, corrected by hand, and a second thought if the photo is poor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from demo_app.outline import WHOLE, Corners
from demo_app.ui import phone, style
from demo_app.ui.controls import PushButton
from demo_app.ui.picture import CropView
from demo_app.ui.style import gap, t
from demo_app.ui.widgets import Column, Row, Scroll, Text, banner

if TYPE_CHECKING:
    from demo_app.state import Case
    from demo_app.ui.window import AppWindow


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    case = app.state.case
    assert case is not None
    view = CropView(app.display(case.picture), case.corners, lambda corners: _moved(case, corners))
    if style.now.wide:
        side = BoxLayout(size_hint_x=None, width=min(gap(26), 0.42 * app.body_width))
        side.add_widget(Scroll(*_controls(app, view, case), pad=1))
        body = BoxLayout(padding=(gap(1), 0, 0, gap(1)))
        body.add_widget(view)
        body.add_widget(side)
    else:
        below = Column(*_controls(app, view, case), space=0.75, pad=1)
        body = BoxLayout(orientation="vertical")
        body.add_widget(view)
        body.add_widget(below)
    return t("crop.title"), body


def _moved(case: Case, corners: Corners) -> None:
    case.corners, case.quality = corners, None


def _controls(app: AppWindow, view: CropView, case: Case) -> list[Widget]:
    def show(corners: Corners) -> None:
        _moved(case, corners)
        view.show(corners)

    tools = Row(
        PushButton("", lambda: app.turn(-1), "left", name="turn-left", says=t("crop.left")),
        PushButton("", lambda: app.turn(1), "right", name="turn-right", says=t("crop.right")),
        PushButton("", lambda: show(case.proposed), "corners", name="auto", says=t("crop.auto")),
        PushButton("", lambda: show(WHOLE), "whole", name="whole", says=t("crop.whole")),
    )
    for tool in tools.children:
        tool.size_hint_x = 1  # four equal, large targets
    parts: list[Widget] = []
    if case.error:
        parts.append(banner(case.error, name="error"))
    if case.lies:
        upright = PushButton(t("crop.upright"), lambda: app.turn(case.lies), "right", name="upright")
        parts.append(banner(t("crop.lies"), upright, name="lies"))
    problems = case.quality.problems if case.quality is not None else []
    if problems:
        words = "\n".join(t(f"quality.{problem}") for problem in problems)
        return [
            *parts,
            banner(words, name="quality"),
            tools,
            PushButton(t("crop.anyway"), lambda: app.read(anyway=True), "pulse", "primary", "read"),
        ]
    hint = t("crop.hint") if phone.PHONE or not style.now.wide else f"{t('crop.hint')}\n{t('crop.keys')}"
    return [*parts, Text(hint, 14, "muted"), tools, PushButton(t("crop.go"), app.read, "pulse", "primary", "read")]
