"""What the app tells by itself: the notice of the first start, and where a file was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from demo_app.ui import phone
from demo_app.ui.controls import PushButton
from demo_app.ui.style import t
from demo_app.ui.widgets import Dialog, Text
from edge_runtime.errors import UserError

if TYPE_CHECKING:
    from demo_app.ui.window import AppWindow


def first_run(app: AppWindow) -> None:
    """Nothing works before this was read."""

    def accept() -> None:
        dialog.dismiss()
        app.change(accepted=True)

    words = [Text(t("first.body"), 15), Text(t("first.private"), 15, "muted")]
    understood = PushButton(t("first.accept"), accept, "check", "primary", "accept")
    dialog = Dialog(t("first.title"), words, [understood], must=True)
    app.open_dialog(dialog)


def saved(app: AppWindow, path: Path) -> None:
    """Tell where it is; a phone's share sheet follows."""
    close = PushButton(t("close"), lambda: dialog.dismiss(), "check", "primary", "close")
    dialog = Dialog(t("share.title"), [Text(t("share.saved", path=path), 14)], [close])
    dialog.name = "shared"
    app.open_dialog(dialog)
    if phone.PHONE:
        try:
            phone.share_file(path)
        except UserError as error:
            app.fail(str(error))
