"""The page at / in a real browser, before a real server with the shipped bundle: a phone's screen and a desktop's."""

from __future__ import annotations

import base64
import io
import re

import pytest
from pages_in_browser import DESKTOP, EXTENSION, PHONE, PHOTO, ROOT, TEXTS, done, give, looks_well, stream
from PIL import Image
from serving import TOKEN

from edge_runtime.waves.normal import NORMAL, judged

BROKEN = """() => [...document.querySelectorAll("#finding-rows th")].flatMap(cell => {
    const [node, range] = [cell.firstChild, document.createRange()];
    return [...node.data.matchAll(/\\S+/g)].filter(({0: word, index}) => {
        range.setStart(node, index);
        range.setEnd(node, index + word.length);
        return new Set([...range.getClientRects()].map(({top}) => top)).size > 1;
    }).map(([word]) => word);
})"""
"""The words of the findings' names that stand on two lines."""


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
