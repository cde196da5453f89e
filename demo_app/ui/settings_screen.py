"""Language, appearance, text size; what is kept and how; whose bundles are accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kivy.uix.widget import Widget

from demo_app.settings import TEXT_SIZES, THEMES
from demo_app.strings import languages
from demo_app.ui import style
from demo_app.ui.browse import choose_key
from demo_app.ui.controls import Field, PushButton
from demo_app.ui.style import t
from demo_app.ui.widgets import Card, Column, Dialog, Row, Scroll, Text, banner

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow


def build(app: AppWindow) -> tuple[str, Widget]:
    """Title and body."""
    now, change = app.settings, app.change
    themes = [(name, t(f"settings.theme.{name}")) for name in THEMES]
    sizes = [(size, t(f"settings.text.{i}")) for i, size in enumerate(TEXT_SIZES)]
    parts: list[Widget] = [banner(app.state.error, name="error")] if app.state.error else []
    parts += [
        _language(app),
        Card(_head("settings.theme"), _choice("theme", themes, now.theme, lambda v: change(theme=v))),
        Card(_head("settings.text"), _choice("text", sizes, now.text_size, lambda v: change(text_size=v))),
        _history(app),
        _key(app),
        _about(app),
    ]
    return t("settings.title"), Scroll(*parts)


def _language(app: AppWindow) -> Widget:
    choices = [("", t("settings.language.system")), *((code, known.name) for code, known in languages().items())]
    parts = [_choice("language", choices, app.settings.language, lambda value: app.change(language=value))]
    here = languages()[app.language]
    if here.percent < 100:
        parts.append(Text(t("settings.language.part", name=here.name, percent=here.percent), 14, "muted"))
    return Card(_head("settings.language"), *parts)


def _head(key: str) -> Text:
    return Text(t(key), 16, bold=True)


def _choice(name: str, options: Sequence[tuple[object, str]], chosen: object, choose: Callable[[Any], None]) -> Widget:
    """Buttons of which one is chosen: side by side where the words have room, else two in a row."""
    buttons = []
    for value, text in options:
        mark, kind = ("check", "soft") if value == chosen else ("", "plain")
        buttons.append(PushButton(text, partial(choose, value), mark, kind, f"{name}.{value}"))
    narrow = {2: 1 if style.now.scale > 1.3 else 2, 4: 2}
    each = 4 if style.now.wide else narrow.get(len(buttons), 1)
    return Column(*(Row(*buttons[i : i + each], space=0.5) for i in range(0, len(buttons), each)), space=0.5)


def _history(app: AppWindow) -> Widget:
    keep = [(True, t("on")), (False, t("off"))]
    parts: list[Widget] = [
        _head("settings.history"),
        Text(t("settings.keep"), 14, "muted"),
        _choice("keep", keep, app.settings.keep_history, lambda v: app.change(keep_history=v)),
    ]
    if app.history.encrypted:
        parts.append(Text(t("settings.encrypted"), 14, "muted"))
        undo = PushButton(t("settings.decrypt"), app.decrypt_history, "lock", name="decrypt")
        undo.disabled = app.history.locked
        parts.append(undo)
    else:
        parts.append(PushButton(t("settings.encrypt"), lambda: _encrypt(app), "lock", name="encrypt"))
    return Card(*parts)


def _encrypt(app: AppWindow) -> None:
    def go(*_: object) -> None:
        dialog.dismiss()
        app.encrypt_history(field.text)

    field = Field(t("history.passphrase"), go, "new-passphrase", password=True)
    yes = PushButton(t("settings.encrypt"), go, "lock", "primary", "confirm")
    no = PushButton(t("cancel"), lambda: dialog.dismiss(), name="refuse")
    dialog = Dialog(t("settings.encrypt"), [Text(t("settings.encrypt.body"), 14, "muted"), field], [yes, no])
    app.open_dialog(dialog)


def _key(app: AppWindow) -> Widget:
    key = app.settings.key
    words = t("settings.key.set", name=Path(key).name) if key else t("settings.key.none")
    parts: list[Widget] = [_head("settings.key"), Text(words, 14, "muted")]
    parts.append(PushButton(t("settings.key.choose"), lambda: choose_key(app), "file", name="key.choose"))
    if key:
        parts.append(PushButton(t("settings.key.clear"), lambda: app.set_key(""), "close", name="key.clear"))
    return Card(*parts)


def _about(app: AppWindow) -> Widget:
    try:
        version = metadata.version("pulse-edge")
    except metadata.PackageNotFoundError:  # a phone's app has no package metadata
        version = ""
    about = t("settings.about.body", version=version)
    where = t("settings.about.data", path=app.data)
    return Card(_head("settings.about"), Text(t("notice.long"), 14), Text(about, 13, "muted"), Text(where, 12, "muted"))
