"""A browser, a server and the session's own answers, for the tests of the page."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from edge_runtime.bundle import NANO
from edge_runtime.session import Session

sys.path.insert(0, str(Path(__file__).parent))  # its helpers, under importlib mode


@pytest.fixture(scope="module")
def browser():
    """Debian's headless Chromium; without it the test is skipped, or fails where CI is set."""
    path = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    if path is None:
        why = "no Chromium is installed; as root: apt-get install chromium-headless-shell"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not start as root, and what is opened is ours.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    pytest.importorskip("uvicorn")
    from serving import started

    running = started(NANO, tmp_path_factory.mktemp("page"), "--max-mb", "1")
    yield running
    running.process.terminate()
    assert running.process.wait(30) == 0


@pytest.fixture(scope="module")
def want():
    """The session's own answers: the page as seen, the report, an answer to a further question."""
    from pages_in_browser import PHOTO

    page = Session.open(NANO, threads=1).look(PHOTO, measure=True)
    return page.seen, page.ask().finish(), page.ask("What is the rhythm?").finish().text


@pytest.fixture
def visit(browser, server):
    """visit(language, token=..., **context) opens the page; nothing that it does may fail or leave the server."""
    from serving import TOKEN

    with contextlib.ExitStack() as stack:

        def go(language="en", token=TOKEN, **context):
            opened = browser.new_context(locale=language, **context)
            stack.callback(opened.close)
            page = opened.new_page()
            page.set_default_timeout(30_000)
            page.faults, page.hosts = [], set()
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.on("console", lambda said: page.faults.append(said.text) if "Policy" in said.text else None)
            page.on("request", lambda asked: page.hosts.add(asked.url.split("/")[2] if "//" in asked.url else "here"))
            page.goto(f"http://127.0.0.1:{server.port}/")
            if token:
                page.fill("#token", token)
                page.keyboard.press("Enter")
                page.wait_for_selector("#choose:visible, #error:visible")
            stack.callback(lambda: check(page))
            return page

        def check(page):
            assert page.faults == []
            assert page.hosts <= {f"127.0.0.1:{server.port}", "here"}

        yield go
