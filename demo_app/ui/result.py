"""The answer while it is written, the findings as they come, and the conversation that follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from demo_app.history import Entry
from demo_app.ui import style
from demo_app.ui.controls import Field, PushButton
from demo_app.ui.findings import Findings
from demo_app.ui.home import no_model
from demo_app.ui.measured import MeasuredCard
from demo_app.ui.similar import SimilarCard
from demo_app.ui.style import gap, t
from demo_app.ui.traces import TraceView
from demo_app.ui.widgets import Busy, Card, Column, Dialog, Row, Scroll, Text, banner

if TYPE_CHECKING:
    from demo_app.state import Case
    from demo_app.ui.window import AppWindow

# A small model finds all in less than a frame; building all rows at once would hold the window for as long as it takes.
_ROWS_A_FRAME = 3


class ResultBody(BoxLayout):
    """Page and answer, beside each other or one above the other; refresh() follows the case without a rebuild."""

    def __init__(self, app: AppWindow, case: Case) -> None:
        super().__init__(orientation="horizontal" if style.now.wide else "vertical")
        self._app, self.case = app, case
        self.page = page = TraceView(app.display(case.page or case.picture))
        # Each part of the column is built anew only when what it shows has changed.
        self._slots = {name: Column(space=1) for name in ("problem", "state", "talk", "stopped")}
        self._keys: dict[str, object] = {}
        self._cards: list[TurnCard] = []
        self._findings: Findings | None = None
        self._scroll = Scroll(*self._slots.values(), pad=1, space=0)
        self._ask_box = BoxLayout(size_hint_y=None)
        self._make_foot()
        right = BoxLayout(orientation="vertical")
        right.add_widget(self._scroll)
        right.add_widget(self._ask_box)
        if style.now.wide:
            frame = BoxLayout(padding=(gap(1), 0, 0, gap(1)), size_hint_x=1.15)
            frame.add_widget(page)
            self.add_widget(frame)
        else:
            ratio = (case.page or case.picture).height / (case.page or case.picture).width
            page.size_hint_y = None
            page.height = min(app.body_width * ratio, 0.36 * app.body_height)
            self.add_widget(page)
        self.add_widget(right)
        self.refresh()

    def refresh(self) -> None:
        """Show the case as it is now. While text streams in only its label changes."""
        case, model = self.case, self._app.state.model.stage
        if case.evidence is not None and not self.page.traces:
            self.page.show(case.evidence.traces)
        self._slot("problem", (case.error, model, case.not_ecg, case.is_part), self._problems)
        self._slot("state", case.busy, self._state)
        if case.busy:
            self._stage.text = t(f"result.{case.stage}")
        self._talk()
        self._slot("stopped", (case.stopped, bool(case.turns)), self._stopped)
        self._slot("ask", (case.busy, bool(case.turns), case.not_ecg), self._ask)
        if case.turns and case.asked is not None:
            self._scroll.scroll_y = 0  # a follow-up is written at the foot: stay there

    def _slot(self, name: str, key: object, build: Callable[[], Sequence[Widget]]) -> None:
        if name in self._keys and self._keys[name] == key:
            return
        self._keys[name] = key
        slot, parts = self._slots.get(name), build()
        if slot is not None:
            slot.clear_widgets()
            for part in parts:
                slot.add_widget(part)
            slot.padding = (0, 0, 0, gap(1) if parts else 0)

    def _problems(self) -> Sequence[Widget]:
        case, app = self.case, self._app
        parts: list[Widget] = []
        if case.error:
            again = PushButton(t("result.again"), app.ask_again, "pulse", name="again")
            parts.append(banner(case.error, again, name="error"))
        parts += no_model(app)
        if case.not_ecg:
            anyway = PushButton(t("result.anyway"), app.answer_anyway, name="anyway")
            parts.append(banner(case.not_ecg, anyway, name="not-ecg"))
        if case.is_part:
            parts.append(banner(t("result.part"), name="part"))
        return parts

    def _state(self) -> Sequence[Widget]:
        if not self.case.busy:
            return []
        self._stage = Text("", 13, "muted")
        return [Column(self._stage, Busy(), space=0.5)]

    def _stopped(self) -> Sequence[Widget]:
        if not self.case.stopped:
            return []
        words = Text(t("result.stopped"), 14, "muted")
        if self.case.turns:
            return [words]
        return [words, PushButton(t("result.again"), self._app.ask_again, "pulse", "primary", "again")]

    def _talk(self) -> None:
        """Cards of the whole turns, the one being written last; the findings and figures stand after the first."""
        case, column = self.case, self._slots["talk"]
        wanted = len(case.turns) + (case.asked is not None)
        if len(self._cards) > wanted or (case.findings == [] and self._findings is not None):
            column.clear_widgets()
            self._cards, self._findings = [], None
            for name in ("figures", "measured", "similar"):
                self._keys.pop(name, None)
        while len(self._cards) < wanted:
            index = len(self._cards)
            question = case.turns[index].question if index < len(case.turns) else case.asked or ""
            card = TurnCard(question if index else t("result.asked.first"), " ", f"answer.{index}")
            self._cards.append(card)
            column.add_widget(card)
        for index, card in enumerate(self._cards):
            whole = index < len(case.turns)
            words = case.turns[index].answer if whole else case.partial or " "
            card.answer.name = f"answer.{index}" if whole else "answer.partial"
            if card.answer.text != words:
                card.answer.text = words
            if whole:
                card.leave_out(case.turns[index].left_out)
        if case.findings:
            self._bars()
        self._similar()
        self._measured()
        column.padding = (0, 0, 0, gap(1) if wanted else 0)

    def _bars(self) -> None:
        case, column = self.case, self._slots["talk"]
        if self._findings is None:
            self._findings = Findings()
            column.add_widget(self._findings, len(self._cards) - 1)
        if not self._findings.show(case.findings, _ROWS_A_FRAME):
            self._app.follow()
        if not case.busy and "figures" not in self._keys and case.first is not None and case.first.timing.tokens:
            self._keys["figures"] = True
            column.add_widget(Text(figures(case), 12, "muted"), len(self._cards) - 1)

    def _measured(self) -> None:
        """Below the findings, once these are there; the traces at once."""
        case, column = self.case, self._slots["talk"]
        if case.evidence is None or not case.turns or "measured" in self._keys:
            return
        if not case.busy:
            self._keys["measured"] = True
            place = len(self._cards) - 1 + ("figures" in self._keys)
            column.add_widget(MeasuredCard(case.evidence.measured, self.page), place)
            self._app.follow()

    def _similar(self) -> None:
        """Below what was measured, a frame after it: both at once would hold the window."""
        case, place = self.case, len(self._cards) - 1 + ("figures" in self._keys)
        if case.similar and not case.busy and "similar" not in self._keys and "measured" in self._keys:
            self._keys["similar"] = True
            self._slots["talk"].add_widget(SimilarCard(case.similar, case.findings), place)

    def show(self, name: str) -> None:
        """Scroll to a card, "findings", "measured" or "similar", where it is there."""
        column = self._scroll.column
        for card in self._slots["talk"].children:
            if getattr(card, "name", "") == name:
                room = max(column.height - self._scroll.height, 1)
                below = card.to_window(0, card.top)[1] - column.to_window(0, column.y)[1] - self._scroll.height
                self._scroll.scroll_y = min(max(below / room, 0.0), 1.0)

    def _ask(self) -> Sequence[Widget]:
        """The foot: stop while it works, the next question when it does not."""
        case, box = self.case, self._ask_box
        box.clear_widgets()
        if case.busy:
            box.add_widget(self._stop)
        elif case.turns and not case.not_ecg:
            self._field.text = case.draft
            box.add_widget(self._next)
        self._fit_foot()
        return []

    def _make_foot(self) -> None:
        """Both feet at once: making them while an answer begins or ends would hold the window."""
        case, app = self.case, self._app
        self._stop = PushButton(t("result.stop"), app.cancel, "stop", "plain", "stop")
        self._field = field = Field(t("result.follow"), app.follow_up, "question", text=case.draft)
        field.bind(text=lambda _, text: setattr(case, "draft", text))
        send = PushButton("", lambda: app.follow_up(field.text), "send", "primary", "send", says=t("result.send"))
        self._next = Row(field, send)
        for foot in (self._stop, self._next):
            foot.bind(height=self._fit_foot)

    def _fit_foot(self, *_: object) -> None:
        box = self._ask_box
        box.padding = (gap(1), gap(0.5), gap(1), gap(0.75)) if box.children else 0
        box.height = box.children[0].height + gap(1.25) if box.children else 0


def figures(case: Case) -> str:
    """How long it took, and who answered."""
    assert case.first is not None
    timing, by = case.first.timing, case.by
    first, speed = round(timing.first_token_ms), round(timing.decode_tokens_per_s)
    words = t("result.timing", tokens=timing.tokens, first=first, speed=speed)
    return f"{words}\n{by.name} ({by.weights}, {by.title})" if by else words


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    assert app.state.case is not None
    return app.state.case.title, ResultBody(app, app.state.case)


def tools(app: AppWindow) -> list[Widget]:
    """What stands beside the title."""
    case = app.state.case
    share = PushButton("", lambda: _share(app), "share", "bare", "share", says=t("result.share"))
    share.disabled = case is None or case.entry is None
    return [share]


def _share(app: AppWindow) -> None:
    case = app.state.case
    if case is not None and case.entry is not None:
        share_dialog(app, case.entry)


class TurnCard(Card):
    """A question over its answer, and below it what the model wrote besides, so that nothing is hidden."""

    def __init__(self, question: str, answer: str, name: str, left_out: Sequence[str] = ()) -> None:
        self.answer = Text(answer, 16)
        self.answer.name = name
        super().__init__(Text(question, 13, "accent", bold=True), self.answer, space=0.5)
        self._told = False
        self.leave_out(left_out)

    def leave_out(self, left_out: Sequence[str]) -> None:
        """Tell it once."""
        if left_out and not self._told:
            self._told = True
            self.add_widget(Text(t("result.left_out", words="; ".join(left_out)), 12, "muted"))


def share_dialog(app: AppWindow, entry: Entry) -> None:
    """PDF or PNG."""
    dialog: Dialog

    def save(suffix: str) -> None:
        dialog.dismiss()
        app.share(entry, suffix)

    words = [Text(t("share.body"), 14, "muted")]
    case = app.state.case
    if app.state.screen != "entry" and case is not None and case.evidence is not None and case.evidence.traces:
        words.append(Text(t("share.signals"), 14, "muted"))
    buttons = [
        PushButton(t("share.pdf"), lambda: save(".pdf"), "file", "primary", "share.pdf"),
        PushButton(t("share.png"), lambda: save(".png"), "image", name="share.png"),
        PushButton(t("cancel"), lambda: dialog.dismiss(), kind="bare", name="cancel-share"),
    ]
    dialog = Dialog(t("share.title"), words, buttons)
    app.open_dialog(dialog)
