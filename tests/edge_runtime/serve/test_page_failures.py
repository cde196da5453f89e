"""The page at / when something goes wrong: no ECG, damaged or large pictures, a server that fails, an old token."""

from __future__ import annotations

import io

from pages_in_browser import EXTENSION, PHONE, PHOTO, TEXTS, done, give, looks_well, noise, stream
from PIL import Image

from edge_runtime.bundle import NANO
from edge_runtime.session import Session


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
