"""What was asked before: found by words, opened again, deleted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kivy.uix.boxlayout import BoxLayout
from kivy.uix.widget import Widget

from demo_app.evidence import Measured
from demo_app.history import Entry
from demo_app.ui import style
from demo_app.ui.controls import Field, PushButton
from demo_app.ui.findings import Findings
from demo_app.ui.measured import MeasuredCard
from demo_app.ui.picture import ZoomView
from demo_app.ui.result import TurnCard, share_dialog
from demo_app.ui.similar import SimilarCard
from demo_app.ui.style import gap, t
from demo_app.ui.widgets import Busy, Card, Column, Dialog, Row, Scroll, Text, banner, centre

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow

_AT_ONCE = 25
_TEASER = 140


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body: a search field over the entries."""
    state = app.state
    body = BoxLayout(orientation="vertical")
    if app.history.locked:
        body.add_widget(_unlock(app))
        return t("history.title"), body
    field = Field(t("history.search"), lambda words: app.search(words), "search", text=state.search)
    field.bind(text=lambda _, words: app.search(words))
    head = Column(field, pad=1)
    centre(head, body)
    body.add_widget(head)
    body.add_widget(Found(app))
    return t("history.title"), body


class Found(Scroll):
    """The entries that match; refresh() after a search, so that the field above keeps its focus."""

    def __init__(self, app: AppWindow) -> None:
        super().__init__(pad=1, space=0.75)
        self._app, self._most = app, _AT_ONCE
        self.refresh()

    def refresh(self) -> None:
        app, state, column = self._app, self._app.state, self.column
        column.clear_widgets()
        if state.error:
            column.add_widget(banner(state.error, name="error"))
        if state.entries is None:
            column.add_widget(Busy())
            return
        if not app.settings.keep_history:
            column.add_widget(Text(t("history.off"), 14, "muted"))
        if not state.entries:
            words = state.search.strip()
            column.add_widget(Text(t("history.nothing", words=words) if words else t("history.empty"), 15, "muted"))
            return
        for entry in state.entries[: self._most]:
            column.add_widget(_row(app, entry))
        if len(state.entries) > self._most:
            column.add_widget(PushButton(t("history.more"), self._more, "add", name="more"))
        if not state.search.strip():
            column.add_widget(PushButton(t("history.clear"), lambda: _ask_clear(app), "trash", "danger", "clear"))

    def _more(self) -> None:
        self._most += _AT_ONCE
        self.refresh()


def _row(app: AppWindow, entry: Entry) -> Widget:
    answer = entry.turns[0].answer
    teaser = answer if len(answer) <= _TEASER else answer[: _TEASER - 1].rsplit(" ", 1)[0] + " …"
    when = Text(f"{moment(entry.created)} · {entry.model}", 12, "muted")
    name = entry.id[:6]
    row = Row(
        PushButton(
            t("history.show"), lambda: app.show_entry(entry), "history", "soft", f"open.{name}", says=entry.title
        ),
        PushButton("", lambda: ask_delete(app, entry), "trash", "plain", f"delete.{name}", says=t("history.delete")),
    )
    card = Card(Text(entry.title, 16, bold=True), when, Text(teaser, 14), row, space=0.5)
    card.name = "entry"
    return card


def moment(seconds: float) -> str:
    """2026-11-25 16:15, in the device's own time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _unlock(app: AppWindow) -> Widget:
    field = Field(t("history.passphrase"), app.unlock, "passphrase", password=True)
    parts: list[Widget] = [banner(app.state.error, name="error")] if app.state.error else []
    unlock = PushButton(t("history.unlock"), lambda: app.unlock(field.text), "lock", "primary", "unlock")
    clear = PushButton(t("history.clear"), lambda: _ask_clear(app), "trash", "danger", "clear")
    return Scroll(*parts, Card(Text(t("history.locked")), field, unlock), clear)


def _ask_clear(app: AppWindow) -> None:
    count = len(app.state.entries or [])
    _confirm(
        app,
        t("history.clear.ask"),
        t("history.clear.body", count=count or ""),
        t("history.clear"),
        lambda: app.delete(None),
    )


def ask_delete(app: AppWindow, entry: Entry) -> None:
    """Deleting cannot be undone, so it is asked first."""
    _confirm(app, t("history.delete.ask"), t("history.delete.body"), t("history.delete"), lambda: app.delete(entry.id))


def _confirm(app: AppWindow, title: str, body: str, verb: str, action) -> None:  # type: ignore[no-untyped-def]
    def go() -> None:
        dialog.dismiss()
        action()

    yes = PushButton(verb, go, "trash", "danger", "confirm")
    no = PushButton(t("cancel"), lambda: dialog.dismiss(), kind="plain", name="refuse")
    dialog = Dialog(title, [Text(body, 14, "muted")], [yes, no])
    app.open_dialog(dialog)


def build_entry(app: AppWindow) -> tuple[str, Widget]:
    """One entry: its page and the whole conversation."""
    entry = app.state.shown
    assert entry is not None
    body = BoxLayout(orientation="horizontal" if style.now.wide else "vertical")
    picture = app.state.shown_page
    if picture is not None:
        page = ZoomView(picture)
        if style.now.wide:
            frame = BoxLayout(padding=(gap(1), 0, 0, gap(1)), size_hint_x=1.15)
            frame.add_widget(page)
            body.add_widget(frame)
        else:
            page.size_hint_y = None
            page.height = min(app.body_width * picture.height / picture.width, 0.36 * app.body_height)
            body.add_widget(page)
    parts: list[Widget] = [banner(app.state.error, name="error")] if app.state.error else []
    for index, turn in enumerate(entry.turns):
        parts.append(
            TurnCard(turn.question if index else t("result.asked.first"), turn.answer, f"answer.{index}", turn.left_out)
        )
        if index == 0 and entry.findings:
            parts.append(Findings(entry.findings))
        if index == 0 and entry.measured is not None:
            parts.append(MeasuredCard(Measured.from_json(entry.measured)))
        if index == 0 and entry.similar:
            parts.append(SimilarCard(entry.similar, entry.findings))
    about = f"{moment(entry.created)}\n{entry.model}, {entry.target}\n{t('share.digest')} {entry.digest[:16]}…"
    parts.append(Text(about, 12, "muted"))
    again = PushButton(t("history.open"), app.reopen, "pulse", name="reopen")
    again.disabled = picture is None
    parts += [again, PushButton(t("history.delete"), lambda: ask_delete(app, entry), "trash", "danger", "delete")]
    body.add_widget(Scroll(*parts, pad=1))
    return entry.title, body


def entry_tools(app: AppWindow) -> list[Widget]:
    """What stands beside an entry's title."""
    entry = app.state.shown
    if entry is None or app.state.shown_page is None:
        return []
    return [PushButton("", lambda: share_dialog(app, entry), "share", "bare", "share", says=t("result.share"))]
