"""What other programs hand to the window: a dropped file, a pasted picture, a pasted path."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "demo_app" / "examples"
NORMAL = EXAMPLES / "b-normal.jpg"


@contextmanager
def clipboard(phone, content, kind):
    """xclip owns the clipboard, as a picture viewer or a file manager would."""
    command = ["xclip", "-selection", "clipboard", "-t", kind, "-loops", "0", "-quiet", "-i"]
    env = {**os.environ, "DISPLAY": phone.screen.display}
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    owner.stdin.write(content)
    owner.stdin.close()
    assert b"Waiting for selection requests" in owner.stderr.readline()
    try:
        yield
    finally:
        owner.kill()
        owner.wait(10)
        owner.stderr.close()


def opened(phone):
    return phone.wait(lambda: (s := phone.state())["screen"] == "crop" and s)


needs_xclip = pytest.mark.skipif(
    shutil.which("xclip") is None and not os.environ.get("CI"),
    reason="xclip not installed; as root: apt-get install xclip",
)


@needs_xclip
def test_picture_on_the_clipboard_is_pasted(open_phone, clean, tmp_path):
    phone = open_phone()
    clean.save(tmp_path / "page.png")
    with clipboard(phone, (tmp_path / "page.png").read_bytes(), "image/png"):
        phone.key("ctrl+v")
        opened(phone)
    assert "Straighten" in phone.texts()
    assert phone.state()["picture"] == list(clean.size)


@needs_xclip
@pytest.mark.parametrize("kind", ["path", "address"])
def test_path_on_the_clipboard_is_opened(open_phone, tmp_path, kind):
    page = Path(shutil.copy(NORMAL, tmp_path / "ECG of today ä.jpg"))
    phone = open_phone()
    with clipboard(phone, (str(page) if kind == "path" else page.as_uri()).encode(), "UTF8_STRING"):
        phone.wait(lambda: phone.state()["model"] == "ready")  # the screen is laid out anew then
        phone.tap("paste")
        opened(phone)
    assert phone.state()["title"] == "ECG of today ä"


@needs_xclip
def test_words_on_the_clipboard_are_no_picture(open_phone):
    phone = open_phone()
    with clipboard(phone, b"Dear colleague, " * 40, "UTF8_STRING"):
        phone.key("ctrl+v")
        phone.wait(lambda: phone.state()["error"])
    assert "There is no picture on the clipboard." in phone.texts()


def test_dropped_picture_is_opened_and_dropped_bundle_imported(open_phone, bundle, tmp_path):
    from xdnd import drop

    phone = open_phone()
    page = Path(shutil.copy(NORMAL, tmp_path / "ECG of today ä.jpg"))
    assert drop(phone.screen.display, phone.window, [page])
    opened(phone)
    assert phone.state()["title"] == "ECG of today ä"
    copy = shutil.copytree(bundle, tmp_path / "my-bundle")
    assert drop(phone.screen.display, phone.window, [copy])
    phone.wait(lambda: len(list((phone.data / "bundles").glob("pulse-nano-*"))) == 1)
    assert phone.state()["screen"] == "models"


def test_nothing_is_opened_before_the_notice_was_read(open_phone):
    from xdnd import drop

    phone = open_phone(accepted=False)
    phone.wait(lambda: phone.state()["dialog"])
    drop(phone.screen.display, phone.window, [NORMAL])
    phone.tap("accept")
    phone.wait(lambda: not phone.state()["dialog"])
    assert phone.state()["screen"] == "home"
    assert phone.state()["opening"] == ""
