"""What is sent for the page, and its languages: each complete, with the app's words where both say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("starlette")
from starlette.applications import Starlette
from starlette.testclient import TestClient

from edge_runtime.page.quality import HINTS
from edge_runtime.serve.site import page_routes
from edge_runtime.waves.normal import NORMAL, judge

ROOT = Path(__file__).parents[3]
WEB = ROOT / "edge_runtime" / "serve" / "web"
LANGUAGES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in WEB.glob("languages/*.json")}
ENGLISH = LANGUAGES["en"]["texts"]


@pytest.fixture
def client():
    return TestClient(Starlette(routes=page_routes({"token": True, "max_bytes": 5, "max_pixels": 6})))


def test_every_file_is_sent_with_its_kind_and_is_kept_nowhere(client):
    kinds = {"/": "text/html", "/page/style.css": "text/css", "/page/page.js": "text/javascript"}
    for path, kind in {**kinds, "/page/languages/de.json": "application/json"}.items():
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)
        assert answer.headers["cache-control"] == "no-store"
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert {policy[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/page/nothing.js", "/page/%2e%2e/app.py", "/page/languages/../../app.py", "/page/"):
        assert client.get(path).status_code == 404
    assert client.post("/").status_code == 405


def test_the_page_learns_the_servers_limits_and_languages(client):
    languages = [{"code": "de", "name": "Deutsch"}, {"code": "en", "name": "English"}]
    want = {"token": True, "max_bytes": 5, "max_pixels": 6, "languages": languages}
    assert client.get("/page/about.json").json() == want


def test_nothing_of_the_page_names_another_host_or_stands_inline():
    for path in WEB.glob("*.*"):
        code = re.sub(r"//.*|/\*.*?\*/|<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.search(r"https?:|@import|innerHTML|localStorage|indexedDB|\bstyle=|\bon\w+=", code), path.name


def used():
    """The keys that the page's files name, and those that they can form."""
    code = "".join(path.read_text(encoding="utf-8") for path in WEB.glob("*.*"))
    sections = {key.partition(".")[0] for key in ENGLISH}
    named = set(re.findall(r'"([a-z]+(?:\.[a-z0-9_]+)+)"', code))
    measured = re.findall(r"^  (\w+): \"page\.unit", code, re.MULTILINE)
    formed = {f"measurement.{key}" for key in measured} | {f"quality.{key}" for key in HINTS}
    formed |= {f"measured.is.{judge(key, value)}" for key in NORMAL for value in (-99, 455, 999)} - {
        "measured.is.normal"
    }
    formed |= {"similar.male", "similar.female"}
    return {key for key in named if key.partition(".")[0] in sections} | formed


def test_every_text_is_there_and_used():
    findings = {key for key in ENGLISH if key.startswith("finding.")}
    bundle = json.loads((ROOT / "edge_runtime/nano/manifest.json").read_text(encoding="utf-8"))
    assert {f"finding.{finding['label']}" for finding in bundle["findings"]} <= findings
    assert used() | findings == ENGLISH.keys()


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_a_language_is_whole_and_says_what_the_app_says(code):
    language = LANGUAGES[code]
    assert language["language"]["code"] == code
    assert language["texts"].keys() == ENGLISH.keys()
    for key, said in language["texts"].items():
        assert sorted(re.findall(r"\{\w+\}", said)) == sorted(re.findall(r"\{\w+\}", ENGLISH[key])), key
    app = json.loads((ROOT / "demo_app" / "languages" / f"{code}.json").read_text(encoding="utf-8"))["texts"]
    shared = language["texts"].keys() & app.keys()
    assert len(shared) > 30
    assert {key: language["texts"][key] for key in shared} == {key: app[key] for key in shared}


def test_the_colours_are_the_apps():
    """Whose contrast tests/demo_app holds."""
    from demo_app.themes import DARK, LIGHT

    light, dark = re.findall(r":root \{(.*?)\}", (WEB / "style.css").read_text(encoding="utf-8"), re.DOTALL)
    for theme, block in ((LIGHT, light), (DARK, dark)):
        for name, colour in re.findall(r"--([\w-]+): (#\w+);", block):
            full = "#" + "".join(2 * digit for digit in colour[1:]) if len(colour) == 4 else colour
            assert full.lower() == getattr(theme, name.replace("-", "_")).lower(), name
