"""The page at / in a real browser, before a real server with the shipped bundle: a phone's screen and a desktop's."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle import NANO
from edge_runtime.session import Session
from edge_runtime.waves.normal import NORMAL, judged

pytest.importorskip("uvicorn")
from serving import TOKEN, started

ROOT = Path(__file__).parents[3]
PHOTO = ROOT / "demo_app" / "examples" / "d-bundle-branch-block-photo.jpg"
TEXTS = {
    code: json.loads((ROOT / f"edge_runtime/serve/web/languages/{code}.json").read_text(encoding="utf-8"))["texts"]
    for code in ("en", "de")
}
PHONE = {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = started(NANO, tmp_path_factory.mktemp("page"), "--max-mb", "1")
    yield running
    running.process.terminate()
    assert running.process.wait(30) == 0


@pytest.fixture(scope="module")
def want():
    """The session's own answers: the page as seen, the report, an answer to a further question."""
    page = Session.open(NANO, threads=1).look(PHOTO, measure=True)
    return page.seen, page.ask().finish(), page.ask("What is the rhythm?").finish().text


@pytest.fixture
def visit(browser, server):
    """visit(language, token=..., **context) opens the page; nothing that it does may fail or leave the server."""
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


def give(page, picture, kind="image/jpeg"):
    page.set_input_files("#file", {"name": "ecg", "mimeType": kind, "buffer": picture})


def done(page):
    page.wait_for_selector("#result", state="visible")
    page.wait_for_selector("body:not(.busy)")


def noise(side, kind="JPEG"):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind, quality=95)
    return buffer.getvalue()


BROKEN = """() => [...document.querySelectorAll("#finding-rows th")].flatMap(cell => {
    const [node, range] = [cell.firstChild, document.createRange()];
    return [...node.data.matchAll(/\\S+/g)].filter(({0: word, index}) => {
        range.setStart(node, index);
        range.setEnd(node, index + word.length);
        return new Set([...range.getClientRects()].map(({top}) => top)).size > 1;
    }).map(([word]) => word);
})"""
"""The words of the findings' names that stand on two lines."""


def looks_well(page, width):
    """Nothing is wider than the screen, and every control is large enough for a finger."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for control in page.query_selector_all("button, .button, select, input:not(.unseen)"):
        if control.is_visible():
            assert control.bounding_box()["height"] >= 44


@pytest.mark.parametrize(
    ("code", "theme", "screen", "asked_with"),
    [("en", "light", PHONE, "#camera"), ("de", "dark", PHONE, "#camera"), ("de", "light", DESKTOP, "#file")],
    ids=["phone-en", "phone-de-dark", "desktop-de"],
)
def test_a_picture_is_read_and_asked_about(visit, want, code, theme, screen, asked_with):
    said, width = TEXTS[code], screen["viewport"]["width"]
    page = visit({"en": "en-GB", "de": "de-AT"}[code], token="wrong", color_scheme=theme, **screen)
    assert page.get_attribute("html", "lang") == code
    assert page.get_by_text(said["notice.long"]).count() == 1
    assert page.inner_text("#error") == said["page.token.wrong"]
    page.get_by_label(said["page.token.hint"]).fill(TOKEN)
    page.get_by_role("button", name=said["page.token.go"]).click()
    page.wait_for_selector("#choose", state="visible")
    assert not page.is_visible("#error")
    looks_well(page, width)
    assert page.is_visible(".phone") == (asked_with == "#camera")

    seen, report, further = want
    page.set_input_files(asked_with, PHOTO)
    done(page)
    assert report.text in page.inner_text("#conversation").replace("\n", " ")
    rows = page.query_selector_all("#finding-rows tr")
    likely = page.query_selector_all("#finding-rows tr.likely")
    assert len(rows) == len(report.findings)
    assert {row.inner_text().split("\n")[0].split(" (")[0] for row in likely} == {
        said[f"finding.{found.label}"] for found in report.findings if found.likely
    }
    cases = page.locator("#similar-cases li").all_inner_texts()
    assert len(cases) == 3
    assert all("PTB-XL 1.0.3 (Wagner et al. 2020), CC BY 4.0" in case for case in cases)
    assert page.is_visible("#similar")
    assert all(re.search({"en": r" 0\.\d\d · ", "de": r" 0,\d\d · "}[code], case) for case in cases)
    # The longest may be broken where a machine's typeface is wide and its browser knows no syllables.
    assert [word for word in page.evaluate(BROKEN) if len(word) <= 19] == []
    best = max(report.findings, key=lambda found: (found.likely, found.probability))
    name, probability, point = (cell.inner_text() for cell in rows[0].query_selector_all("th, td"))
    assert f"{round(100 * best.sensitivity)}\u00a0%" in name
    assert said["page.named"] in name
    assert (probability.strip(), point) == (f"{100 * best.probability:.0f}\u00a0%", f"{100 * best.point:.0f}\u00a0%")
    size = page.evaluate("(({naturalWidth, naturalHeight}) => [naturalWidth, naturalHeight])(picture)")
    assert tuple(size) == seen.size
    assert page.get_by_role("img", name=said["page.seen"]).is_visible()
    assert not page.is_visible("#pages")  # a file of one
    looks_well(page, width)

    page.evaluate("document.querySelector('.said').kept = true")
    page.get_by_label(said["result.follow"]).fill("What is the rhythm?")
    page.keyboard.press("Enter")
    page.locator(".said").nth(1).wait_for()
    done(page)
    assert page.locator(".said").nth(1).inner_text() == further
    assert page.evaluate("document.querySelector('.said').kept")  # not written anew, which would be read out again

    page.get_by_role("button", name=said["page.enlarge"]).click()
    assert page.evaluate("picture.clientWidth > frame.clientWidth")
    looks_well(page, width)
    assert page.evaluate("[Object.keys(localStorage), Object.keys(sessionStorage)]") == [[], ["token"]]
    page.get_by_role("button", name=said["page.another"]).click()
    page.wait_for_selector("#choose", state="visible")
    assert not page.is_visible("#result")


def test_the_language_can_be_changed_while_an_answer_stands(visit, want):
    page = visit("fr-FR")
    assert page.inner_text("h1") == TEXTS["en"]["home.title"]
    page.set_input_files("#file", PHOTO)
    done(page)
    page.route("**/languages/*", lambda route: route.abort(), times=1)
    page.select_option("#language", "de")
    page.wait_for_selector("#error", state="visible")
    page.select_option("#language", "en")
    page.select_option("#language", "de")
    page.wait_for_selector("html[lang=de]")
    assert page.get_by_role("heading", name=TEXTS["de"]["result.finding.title"]).is_visible()
    named = {TEXTS["de"][f"finding.{found.label}"] for found in want[1].findings}
    assert {row.split("\n")[0].split(" (")[0] for row in page.locator("#finding-rows th").all_inner_texts()} == named
    page.reload()
    page.wait_for_selector("#choose", state="visible")
    assert page.inner_text("h1") == TEXTS["de"]["home.title"]
    assert not page.is_visible("#token-form")  # asked for once


def test_it_works_by_keyboard(visit):
    page = visit(**DESKTOP)
    page.on("filechooser", lambda chooser: chooser.set_files(PHOTO))
    page.reload()
    page.wait_for_selector("#choose", state="visible")
    for wanted in ("language", "file"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == wanted
    assert page.evaluate("getComputedStyle(document.querySelector('.second')).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    done(page)
    assert page.evaluate("document.activeElement.id") == "report-title"  # a screen reader goes on there
    assert page.get_attribute("#status", "role") == "status"
    assert page.get_attribute("#conversation", "aria-busy") == "false"
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert reached == ["question", "send", ""]


DROP = """async ([how, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], "ecg.jpg", {type: "image/jpeg"}));
    const event = how === "drop" ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
                                 : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
    document.body.dispatchEvent(event);
}"""


def test_a_picture_is_dropped_or_pasted(visit, want):
    page = visit(**DESKTOP)
    for how in ("drop", "paste"):
        page.evaluate(DROP, [how, base64.b64encode(PHOTO.read_bytes()).decode()])
        done(page)
        assert want[1].text in page.inner_text("#conversation").replace("\n", " ")
        page.click("#another")


def test_what_is_no_ecg_and_what_is_damaged_are_told_with_what_helps(visit):
    page = visit("de")
    give(page, noise(600))
    done(page)
    assert TEXTS["de"]["page.help"] in page.inner_text("#conversation")
    assert not page.is_visible("#follow")
    page.click("#another")
    give(page, noise(100)[:300])
    page.wait_for_selector("#error", state="visible")
    assert page.inner_text("#error-what") == TEXTS["de"]["error.picture"]
    assert "damaged or cut off" in page.inner_text("#error-detail")
    assert page.is_visible("#choose")
    give(page, b"")
    page.wait_for_selector("#error:visible:has(#error-detail:empty)")
    assert page.inner_text("#error-what") == TEXTS["de"]["error.picture"]


def test_what_is_taken_for_no_ecg_is_answered_anyway(visit):
    page, said = visit("de", **PHONE), TEXTS["de"]
    give(page, noise(600))
    done(page)
    page.get_by_role("button", name=said["result.anyway"]).click()
    page.locator("#findings").wait_for()
    done(page)
    want = Session.open(NANO, threads=1).look(noise(600), measure=True).ask(allow_non_ecg=True).finish()
    assert [part.inner_text() for part in page.query_selector_all("#conversation .said")] == [want.text]
    assert page.inner_text("#conversation .help") == said["page.doubtful"]
    assert page.locator("#finding-rows tr").count() == len(want.findings) > 0
    assert page.locator("#picture").is_visible()
    looks_well(page, 360)
    page.fill("#question", "What is the rhythm?")  # allowed once, further questions are answered too
    page.keyboard.press("Enter")
    page.locator(".said").nth(1).wait_for()
    done(page)
    assert page.get_by_role("button", name=said["result.anyway"]).count() == 0


def test_a_picture_above_the_servers_limit_is_made_smaller(visit):
    page, sent = visit(), []
    page.on("request", lambda asked: sent.append(len(asked.post_data or "")) if "chat" in asked.url else None)
    give(page, PHOTO.read_bytes())
    done(page)
    assert sent.pop() > len(PHOTO.read_bytes()) * 4 / 3  # as it is
    page.click("#another")
    large = io.BytesIO()
    Image.open(PHOTO).resize((2100, 1575)).save(large, "PNG", compress_level=1)
    assert len(large.getvalue()) > 2 << 20
    give(page, large.getvalue(), "image/png")
    page.wait_for_selector("#findings:visible, #error:visible")
    assert not page.is_visible("#error")
    assert sent.pop() < 1 << 20
    page.click("#another")
    give(page, b"%PDF-1.4" + bytes(2 << 20), "application/pdf")
    page.wait_for_selector("#error", state="visible")
    assert page.inner_text("#error-what") == TEXTS["en"]["page.failed.large"]
    assert sent == []


def stream(*pieces):
    """The body of a streamed answer: words, and the field "pulse" of the last piece."""
    *words, extension = pieces
    said = [{"model": "m", "choices": [{"delta": {"content": word}}]} for word in words]
    last = {"model": "m", "choices": [{"delta": {}}], "pulse": extension}
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in [*said, last]) + "data: [DONE]\n\n"


EXTENSION = {"findings": [], "is_ecg": 0.9, "refused": False, "whole": None, "left_out": [], "target": "onnx"}


def test_measurements_and_a_part_of_a_page_are_shown(visit):
    page = visit()
    measured = {"rate_bpm": 71.6, "pr_ms": None, "qrs_ms": 111, "qt_ms": 390}
    measured |= {"qtc_bazett_ms": 455, "qrs_axis_deg": -31}
    extension = {**EXTENSION, "whole": 0.2, "measurements": measured, "normal": judged(measured)}
    body = stream("Normal", " ECG.", extension)
    page.route("**/chat/completions", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    page.set_input_files("#file", PHOTO)
    done(page)
    rows = page.locator("#measurement-rows tr").all_inner_texts()
    assert [list(filter(None, re.split(r"[\n\t]", row.replace("\u00a0", " ")))) for row in rows] == [
        ["Heart rate", "Normal: 50 to 100 per minute", "72 per minute"],
        ["QRS duration", "Above normal", "Normal: up to 110 ms", "111 ms"],
        ["QT interval", "390 ms"],
        ["QTc (Bazett)", "Above normal for men", "Normal: men 391 to 449 ms, women 391 to 459 ms", "455 ms"],
        ["QRS axis", "Left of normal", "Normal: -30 to 90°", "-31°"],
    ]
    outside = page.locator("#measurement-rows tr.outside th").all_inner_texts()
    assert [name.split("\n")[0] for name in outside] == ["QRS duration", "QTc (Bazett)", "QRS axis"]
    cited = {source for normal in NORMAL.values() for source in normal.sources}
    assert all(page.inner_text("#sources").count(source) == 1 for source in cited)
    assert page.inner_text(".said") == "Normal ECG."
    assert page.inner_text(".help") == TEXTS["en"]["result.part"]
    assert not page.is_visible("#findings")
    assert not page.is_visible("#similar")


def test_each_page_of_a_file_is_read_by_keyboard(visit):
    """The first is no ECG and is answered anyway, which the others do not inherit; the second is one."""
    file, said = io.BytesIO(), TEXTS["de"]
    blank, ecg = Image.new("RGB", (900, 600), "navy"), Image.open(ROOT / "demo_app/examples/b-normal.jpg")
    blank.save(file, "PDF", save_all=True, append_images=[ecg, blank])
    page, sent = visit("de", **PHONE), []
    page.on("request", lambda asked: sent.append(asked.post_data_json["pulse"]) if "chat" in asked.url else None)
    give(page, file.getvalue(), "application/pdf")
    anyway = page.get_by_role("button", name=said["result.anyway"])
    anyway.press("Enter")
    page.wait_for_selector("#findings", state="visible")
    done(page)
    assert page.inner_text("#which") == "Seite 1 von 3"
    looks_well(page, 360)
    page.get_by_role("button", name=said["page.previous"]).press("Enter")  # there is none
    page.get_by_role("button", name=said["page.next"]).press("Enter")
    page.wait_for_selector("#measurements", state="visible")
    done(page)
    assert page.inner_text("#which") == "Seite 2 von 3"
    assert page.locator("#conversation .said").count() == 1
    assert page.is_visible("#picture")
    page.keyboard.press("Enter")  # the focus is where it was
    anyway.wait_for()
    done(page)
    assert page.inner_text("#which") == "Seite 3 von 3"
    assert page.get_attribute("#next", "aria-disabled") == "true"
    assert [(asked["page_number"], asked["allow_non_ecg"]) for asked in sent] == [
        (1, False), (1, True), (2, False), (3, False),
    ]  # fmt: skip


FAILURES = [
    ({"status": 429, "headers": {"Retry-After": "7"}}, "page.failed.busy"),
    ({"status": 413}, "page.failed.large"),
    ({"status": 504}, "page.failed.late"),
    ({"status": 500, "json": {"error": {"message": "the model failed"}}}, "page.failed.server"),
    ({"status": 200, "body": stream("Half", EXTENSION).replace("data: [DONE]", "")}, "page.failed.network"),
    (None, "page.failed.network"),
]


def test_what_fails_is_told_and_can_be_asked_again(visit, want):
    page, failures = visit(), iter(FAILURES)

    def fail(route):
        response, _ = next(failures)
        if response is None:
            route.abort()
        else:
            route.fulfill(**response)

    page.route("**/chat/completions", fail, times=len(FAILURES))
    page.set_input_files("#file", PHOTO)
    for _, key in FAILURES:
        page.wait_for_selector("#again", state="visible")
        assert page.inner_text("#error-what") == TEXTS["en"][key].format(seconds=7)
        page.click("#again")
    page.wait_for_selector("#findings", state="visible")
    assert not page.is_visible("#error")
    assert want[1].text in page.inner_text("#conversation").replace("\n", " ")


def test_an_answer_is_stopped(visit):
    page, held = visit(), []
    page.route("**/chat/completions", lambda route: held.append(route))
    page.set_input_files("#file", PHOTO)
    page.wait_for_selector("#stop", state="visible")
    assert page.inner_text("#status").startswith(TEXTS["en"]["result.waiting"])
    page.click("#stop")
    page.wait_for_selector("#again", state="visible")
    assert page.inner_text("#status") == TEXTS["en"]["result.stopped"]
    assert len(held) == 1


def test_a_token_that_is_no_longer_right_is_asked_for_again(visit):
    page = visit()
    page.evaluate("sessionStorage.token = 'old'")
    page.set_input_files("#file", PHOTO)
    page.wait_for_selector("#token-form", state="visible")
    assert page.inner_text("#error-what") == TEXTS["en"]["page.token.wrong"]
    assert page.evaluate("Object.keys(sessionStorage)") == []
