"""Which bundles are on the device, which one runs and on which engine; import, switch, remove; the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kivy.uix.widget import Widget

from demo_app.benchmark import ROWS, RUNS
from demo_app.bundles import Installed
from demo_app.ui import style
from demo_app.ui.browse import choose_bundle
from demo_app.ui.controls import PushButton
from demo_app.ui.home import loading_model, progress
from demo_app.ui.style import t
from demo_app.ui.widgets import Bar, Card, Column, Dialog, Row, Scroll, Text, banner

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    state = app.state
    parts: list[Widget] = [banner(state.error, name="error")] if state.error else []
    if state.model.stage == "failed":
        parts.append(banner(state.model.error, name="model-error"))
    elif state.model.stage == "none":
        parts.append(banner(t("model.none"), name="no-model"))
    parts += [_bundle(app, bundle) for bundle in state.bundles]
    if state.importing is not None:
        stop = PushButton(t("cancel"), app.cancel_import, "close", name="cancel-import")
        parts.append(progress(t("models.importing", name=state.importing.name), state.importing.share, stop))
    else:
        zipped = PushButton(t("models.import.zip"), lambda: choose_bundle(app, "zip"), "file", name="import.zip")
        folder = PushButton(
            t("models.import.folder"), lambda: choose_bundle(app, "folder"), "folder", name="import.folder"
        )
        parts.append(Row(zipped, folder) if style.now.wide else Column(zipped, folder, space=0.75))
    bench = PushButton(t("models.bench"), lambda: app.go("bench"), "gauge", "soft", "bench")
    bench.disabled = state.model.stage != "ready"
    parts.append(bench)
    parts += loading_model(app)
    return t("models.title"), Scroll(*parts)


def _bundle(app: AppWindow, bundle: Installed) -> Widget:
    loaded = app.state.model.loaded
    in_use = loaded is not None and loaded.digest == bundle.digest and loaded.folder == bundle.folder
    origin = t("models.own") if bundle.own else t("models.built_in")
    head: Widget = Text(bundle.name, 17, bold=True)
    if in_use:
        head = Column(head, Text(t("models.using"), 13, "accent", bold=True), space=0.15)
    signature = "not" if not bundle.signed else "checked" if in_use and app.settings.key else "unchecked"
    facts = (
        ("models.engine", bundle.title),
        ("models.weights", f"{bundle.weights} · {origin}"),
        ("models.size", f"{bundle.bytes / 1e6:.1f} MB"),
        ("models.digest", f"{bundle.digest[:16]}…"),
        ("models.signature", t(f"models.signed.{signature}")),
    )
    card = Card(head, _facts(facts))
    if not bundle.runs:
        card.add_widget(Text(t("models.no_engine", title=bundle.title), 14, "danger"))
    card.name = "bundle"
    name = bundle.digest[:8]
    actions = []
    if bundle.runs and not in_use:
        actions.append(PushButton(t("models.use"), lambda: app.use_bundle(bundle), "check", "soft", f"use.{name}"))
    if bundle.own:
        actions.append(
            PushButton(t("models.remove"), lambda: _ask_remove(app, bundle), "trash", "danger", f"remove.{name}")
        )
    if actions:
        card.add_widget(Row(*actions))
    return card


def _facts(facts: tuple[tuple[str, str], ...]) -> Widget:
    grid = Column(space=0.3)
    for key, value in facts:
        name = Text(t(key), 13, "muted")
        name.size_hint_x = 0.45
        grid.add_widget(Column(name, Text(value, 13), space=0) if style.crowded() else Row(name, Text(value, 13)))
    return grid


def _ask_remove(app: AppWindow, bundle: Installed) -> None:
    def go() -> None:
        dialog.dismiss()
        app.remove_bundle(bundle)

    yes = PushButton(t("models.remove"), go, "trash", "danger", "confirm")
    no = PushButton(t("cancel"), lambda: dialog.dismiss(), name="refuse")
    dialog = Dialog(t("models.remove.ask", name=bundle.name), [Text(t("models.remove.body"), 14, "muted")], [yes, no])
    app.open_dialog(dialog)


def build_bench(app: AppWindow) -> tuple[str, Widget]:
    """Title and body of the benchmark."""
    bench = app.state.bench
    parts: list[Widget] = [banner(app.state.error, name="error")] if app.state.error else []
    parts.append(Text(t("bench.body", runs=RUNS), 14, "muted"))
    if bench.runs is not None:
        done = Text(t("bench.running", run=min(bench.runs + 1, RUNS), runs=RUNS))
        stop = PushButton(t("result.stop"), app.cancel, "stop", name="stop")
        parts.append(Card(done, Bar(bench.runs / RUNS, thickness=6), stop))
    else:
        start = PushButton(t("bench.start"), app.benchmark, "gauge", "primary", "bench.start")
        start.disabled = app.state.model.stage != "ready"
        parts.append(start)
    if bench.result is not None:
        parts.append(_figures(bench.result))
        parts.append(Text(t("bench.saved", path=bench.saved), 12, "muted"))
    return t("bench.title"), Scroll(*parts)


def _figures(result: dict[str, Any]) -> Widget:
    lines = Column(space=0.6)

    def line(name: str, *values: str, role: str = "text") -> None:
        cells = [Text(value, 14, role, halign="right") for value in values]
        for cell in cells:
            cell.size_hint_x, cell.width = None, style.text_size(14) * 5.6
        words = Text(name, 14, role)
        lines.add_widget(
            Column(words, Row(Widget(), *cells, space=0.5), space=0.2)
            if style.crowded() and name.strip()
            else Row(words, *cells, space=0.5)
        )

    line(" ", t("bench.p50"), t("bench.p90"), role="muted")
    for row, unit in ROWS:
        figure = result["figures"][row]
        short = "/s" if unit == "tokens/s" else f" {unit}"
        line(t(f"bench.{row}"), *(f"{figure[p]:.0f}{short}" for p in ("p50", "p90")))
    line(t("bench.frame"), " ", f"{result['longest_frame_ms']:.0f} ms")
    card = Card(lines)
    card.name = "figures"
    return card
