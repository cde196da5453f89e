"""pulse-serve as other programs meet it: a real process, asked by OpenAI's own client and by plain HTTP."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import TOKEN, data_url, message, png, started

from edge_runtime.bundle import NANO
from edge_runtime.session import Session

PAGE = Path(__file__).parents[3] / "demo_app" / "examples" / "b-normal.jpg"
openai = pytest.importorskip("openai")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def server(tiny, tmp_path_factory):
    running = started(tiny.folder, tmp_path_factory.mktemp("serve"), "--max-mb", "1")
    yield running
    running.process.terminate()
    assert running.process.wait(30) == 0


@pytest.fixture
def pages():
    return [np.random.default_rng(seed).integers(0, 256, (32, 48), np.uint8) for seed in range(6)]


def test_openais_client_gets_the_sessions_answer(server, session, pages):
    for page in pages[:2]:
        want = session.look(page).ask("normal?").finish()
        got = server.client().chat.completions.create(model="tiny", messages=[message(png(page), "normal?")])
        assert got.choices[0].message.content == want.text
        assert got.choices[0].finish_reason == want.finish_reason
        assert got.usage.completion_tokens == len(want.token_ids)
        extension = got.model_extra["pulse"]
        assert extension["notice"] == session.inference.notice
        for found, expected in zip(extension["findings"], want.findings, strict=True):
            assert found["label"] == expected.label
            assert found["probability"] == pytest.approx(expected.probability, abs=1e-5)


def test_streamed_and_whole_answers_are_the_same(server, session, pages):
    asked = {"model": "tiny", "messages": [message(png(pages[0]))]}  # without words: the bundle's own question
    want = session.look(pages[0]).ask().finish()
    chunks = list(server.client().chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == want.text
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, want.finish_reason]
    assert chunks[-1].model_extra["pulse"]["findings"]


def test_a_conversation_goes_on(server, session, pages):
    page = session.look(pages[1])
    page.remember("normal?", "It is normal.")
    want = page.ask("MI?").finish().text
    turns = [
        message(png(pages[1]), "normal?"),
        {"role": "assistant", "content": "It is normal."},
        {"role": "user", "content": "MI?"},
    ]
    got = server.client().chat.completions.create(model="tiny", messages=turns)
    assert got.choices[0].message.content == want


def test_a_conversation_may_begin_with_the_bundles_own_question(server, session, pages):
    page = session.look(pages[1])
    page.remember(session.inference.default_question, "It is normal.")
    want = page.ask("MI?").finish().text
    turns = [message(png(pages[1])), {"role": "assistant", "content": "It is normal."}]
    turns.append({"role": "user", "content": "MI?"})
    assert server.post({"messages": turns})[1]["choices"][0]["message"]["content"] == want


def shown(url):
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,")))).convert("L")
    )


def test_the_page_that_the_model_saw_comes_when_it_is_asked_for(server, pages):
    smooth = np.tile(np.linspace(0, 255, 48).astype(np.uint8), (32, 1))  # JPEG keeps it
    asked = {"model": "tiny", "messages": [message(png(smooth), "normal?")]}
    assert "page" not in server.post(asked)[1]["pulse"]
    whole = server.post({**asked, "pulse": {"page": True}})[1]["pulse"]["page"]
    first, *others = server.client().chat.completions.create(**asked, stream=True, extra_body={"pulse": {"page": True}})
    assert first.model_extra["pulse"]["page"] == whole
    assert not any("page" in (other.model_extra or {}).get("pulse", {}) for other in others)
    assert np.abs(shown(whole).astype(int) - smooth).max() < 8
    status, answer = server.post({**asked, "pulse": {"page": "yes"}})
    assert (status, "page must be true or false" in answer["error"]["message"]) == (400, True)


def test_a_page_of_a_file_is_named(server, session, pages):
    file = io.BytesIO()
    sheets = [Image.fromarray(page) for page in pages[:3]]
    sheets[0].save(file, "TIFF", save_all=True, append_images=sheets[1:])
    asked = {"model": "tiny", "messages": [message(file.getvalue(), "normal?")]}
    for number, page in enumerate(pages[:3], 1):
        own = {"page_number": number}
        want = session.look(page).ask("normal?").finish()
        told = server.post({**asked, "pulse": own})[1]["pulse"]
        assert (told["pages"], told["page_number"]) == (3, number)
        assert told["is_ecg"] == pytest.approx(want.is_ecg, abs=1e-5)
        first, *_, last = server.client().chat.completions.create(**asked, stream=True, extra_body={"pulse": own})
        assert first.model_extra["pulse"] == {"pages": 3, "page_number": number}
        assert last.model_extra["pulse"].items() >= {"pages": 3, "page_number": number}.items()
    told = server.post(asked)[1]["pulse"]
    assert (told["pages"], told["page_number"]) == (3, 1)
    for number, why in ((4, "has 3 page(s), so page 4 does not exist"), (0, "of 1 or more"), ("2", "a whole number")):
        for streamed in (False, True):
            status, answer = server.post({**asked, "stream": streamed, "pulse": {"page_number": number}})
            assert (status, why in answer["error"]["message"]) == (400, True), answer
    one = {"model": "tiny", "messages": [message(png(pages[0]), "normal?")], "pulse": {"page_number": 2}}
    assert "has 1 page(s), so page 2 does not exist" in server.post(one)[1]["error"]["message"]


def test_fhir_comes_when_it_is_asked_for(server, session, pages):
    bundles = pytest.importorskip("fhir.resources.R4B.bundle")
    asked = {"model": "tiny", "messages": [message(png(pages[0]), "normal?")]}
    assert "fhir" not in server.post(asked)[1]["pulse"]
    whole = server.post({**asked, "pulse": {"fhir": True}})[1]["pulse"]["fhir"]
    *_, last = server.client().chat.completions.create(**asked, stream=True, extra_body={"pulse": {"fhir": True}})
    for bundle in (whole, last.model_extra["pulse"]["fhir"]):
        read = bundles.Bundle.model_validate_json(json.dumps(bundle))
        assert len(read.entry) == 2 + len(session.inference.findings)
        assert session.look(pages[0]).ask("normal?").finish().text in read.entry[0].resource.conclusion


def test_measurements_come_when_they_are_asked_for(server, pages):
    asked = {"model": "tiny", "messages": [message(png(pages[0]), "normal?")]}
    assert "measurements" not in server.post(asked)[1]["pulse"]
    told = server.post({**asked, "pulse": {"measure": True}})[1]["pulse"]
    assert set(told["measurements"]) >= {"rate_bpm", "qrs_ms", "st_mv"}
    assert told["normal"]["qrs_ms"]["high"] == 110
    assert {one["judged"] for one in told["normal"].values()} == {None}
    assert (told["signals"], told["why"]) == (None, "nothing, the leads could not be told")
    report = server.post({"model": "tiny", "messages": [message(png(pages[0]))], "pulse": {"signals": True}})[1]
    assert report["choices"][0]["message"]["content"].endswith("Measured: nothing, the leads could not be told.")


def test_similar_cases_come_when_they_are_asked_for_of_a_bundle_that_has_them(server, pages):
    asked = {"model": "tiny", "messages": [message(png(pages[0]))]}
    assert "similar" not in server.post(asked)[1]["pulse"]
    for wanted, said in (
        (3, "this bundle has no similar cases"),
        (0, "similar must be a whole number"),
        (True, "whole"),
    ):
        status, answer = server.post({**asked, "pulse": {"similar": wanted}})
        assert status == 400
        assert said in answer["error"]["message"]


def test_what_looks_like_no_ecg_is_answered_when_it_is_asked_for(tmp_path):
    picture = io.BytesIO()
    Image.new("RGB", (300, 200), "navy").save(picture, "PNG")
    server = started(NANO, tmp_path)
    asked = {"messages": [message(picture.getvalue())], "pulse": {"allow_non_ecg": False, "similar": 2}}
    whole = server.post(asked)[1]
    refused = whole["pulse"]
    assert (refused["refused"], refused["findings"], refused["similar"]) == (True, [], [])
    answered = server.post({**asked, "pulse": {"allow_non_ecg": True}})[1]
    assert (answered["pulse"]["refused"], answered["pulse"]["is_ecg"]) == (False, refused["is_ecg"])
    assert answered["pulse"]["findings"]
    contents = [answer["choices"][0]["message"]["content"] for answer in (whole, answered)]
    assert contents[0] != contents[1]
    assert answered["choices"][0]["finish_reason"] == "stop"
    page = server.post({"messages": [message(PAGE.read_bytes())], "max_tokens": 1, "pulse": {"similar": 2}})[1]
    want = [asdict(case) for case in Session.open(NANO, threads=1).look(PAGE).similar(2)]
    assert [case["record"] for case in page["pulse"]["similar"]] == [case["record"] for case in want]
    assert page["pulse"]["similar"][0].keys() == want[0].keys()
    server.process.terminate()
    assert server.process.wait(30) == 0


def test_the_model_is_listed_and_health_is_open(server):
    assert [model.id for model in server.client().models.list()] == ["tiny"]
    assert json.loads(server.get("/health")[1]) == {"status": "ok", "waiting": 0}


@pytest.mark.parametrize(
    ("form", "status"), [("bearer {}", 200), ("Bearer  {}", 200), ("{}", 401), ("Basic {}", 401), ("Bearer {}x", 401)]
)
def test_a_bearer_token_is_one_in_form(server, form, status):
    assert server.get("/v1/models", {"Authorization": form.format(TOKEN)})[0] == status


@pytest.mark.parametrize("token", ["wrong", ""])
def test_without_the_token_nothing_is_told(server, pages, token):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for path in ("/v1/models", "/metrics"):
        assert server.get(path, headers)[0] == 401
    with pytest.raises(openai.AuthenticationError, match="bearer token"):
        server.client(token or "x").chat.completions.create(model="tiny", messages=[message(png(pages[0]))])


BAD = [
    (b"{", "is no JSON"),
    ([], "must be a JSON object"),
    ({"messages": []}, "holds 0 pictures"),
    ({"messages": [{"role": "user", "content": "hello"}]}, "holds 0 pictures; give one"),
    ({"messages": [{"role": "system", "content": "be kind"}]}, "system message is the model's own"),
    ({"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "type must be one of text, image_url"),
    ({"messages": "x"}, "messages must be a list"),
    ({"messages": [], "n": 2}, "n must be 1"),
    ({"messages": [], "stop": ["."]}, "stop is nothing that this server can do"),
    ({"messages": [], "tools": [], "response_format": {"type": "json_object"}}, "type must be one of text"),
    ({"messages": [], "temperature": 0, "n": True}, "n must be a whole number"),
]


@pytest.mark.parametrize(("body", "said"), BAD, ids=[said for _, said in BAD])
def test_wrong_requests_are_named(server, body, said):
    status, answer = server.post(body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert said in answer["error"]["message"]


def test_wrong_pictures_and_settings_are_named(server, pages):
    good = png(pages[0])
    for url, said in (
        ("https://example.org/ecg.png", "this server fetches nothing"),
        ("file:///etc/passwd", "not a data URL"),
        ("data:image/png;base64,%%%", "is no base64"),
        (data_url(b"nothing"), "is not a picture this program reads"),
        (data_url(good[:60]), "is damaged or cut off"),
    ):
        parts = [{"type": "image_url", "image_url": {"url": url}}]
        status, answer = server.post({"messages": [{"role": "user", "content": parts}]})
        assert (status, said in answer["error"]["message"]) == (400, True), answer
    for field, value, said in (
        ("max_tokens", 0, "max_tokens must be a whole number of 1 or more"),
        ("temperature", "hot", "temperature must be a number"),
        ("stream", 1, "stream must be true or false"),
    ):
        status, answer = server.post({"messages": [message(good)], field: value})
        assert (status, said in answer["error"]["message"]) == (400, True), answer
    turns = [message(good, "a?"), message(good, "b?")]
    assert "holds 2 pictures" in server.post({"messages": turns})[1]["error"]["message"]
    turns = [message(good, "a?"), {"role": "user", "content": "b?"}]
    assert "in turn" in server.post({"messages": turns})[1]["error"]["message"]


def test_too_much_is_refused_however_it_is_sent(server):
    assert server.post(b"x" * (3 << 20))[0] == 413
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    pieces = (b"x" * 65536 for _ in range(40))  # no Content-Length
    connection.request("POST", "/v1/chat/completions", pieces, {"Authorization": f"Bearer {TOKEN}"})
    assert connection.getresponse().status == 413
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # so much is not heard out
        assert server.post(b"x" * (9 << 20))[0] == 413
    assert server.get("/v1/nothing")[0] == 404
    assert server.get("/health")[0] == 200


def test_many_at_once_are_neither_lost_nor_mixed_up(server, session, pages):
    want = [[found.probability for found in session.look(page).findings()] for page in pages]
    client = server.client()

    def ask(k):
        if k % 10 == 9:
            return server.post({"messages": [message(png(pages[k % 6])[:50])]})[0]
        asked = {"model": "tiny", "messages": [message(png(pages[k % 6]), "normal?")]}
        if k % 2:
            *_, answer = client.chat.completions.create(**asked, stream=True)
        else:
            answer = client.chat.completions.create(**asked)
        return [found["probability"] for found in answer.model_extra["pulse"]["findings"]]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(ask, range(60)))
    for k, answer in enumerate(got):
        assert answer == (400 if k % 10 == 9 else pytest.approx(want[k % 6], abs=1e-5))
    metrics = server.get("/metrics", {"Authorization": f"Bearer {TOKEN}"})[1]
    assert 'pulse_requests_total{status="200"}' in metrics
    assert "pulse_waiting 0.0" in metrics


def test_told_to_stop_it_finishes_what_it_began(tiny, tmp_path, pages):
    server = started(tiny.folder, tmp_path)
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(server.client().chat.completions.create, model="tiny", messages=[message(png(page), "normal?")])
            for page in pages[:4]
        ]
        time.sleep(0.05)
        os.kill(server.process.pid, signal.SIGTERM)
        for one in asked:
            with contextlib.suppress(openai.APIConnectionError):  # one that came too late: no half answer
                assert one.result().choices[0].message.content
    assert server.process.wait(30) == 0


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--host", "0.0.0.0"], "can be reached from other machines, and there is no token"),
        (["--token-file", "gone"], "gone: cannot be read"),
        (["--tls-cert", "a.pem"], "--tls-cert and --tls-key go together"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "a.pem: is not there"),
        (["--waiting", "0"], "--waiting must be 1 or more"),
        (["--port", "99999"], "--port lie between"),
        (["--max-mb", "0"], "--max-mb and --timeout must be 1 or more"),
        (["--timeout", "-1"], "--max-mb and --timeout must be 1 or more"),
        (["--tls-cert", "wrong.pem", "--tls-key", "wrong.pem"], "are no certificate and its key"),
    ],
)
def test_wrong_use_is_one_line(argv, said, capsys, tmp_path, monkeypatch):
    from edge_runtime.serve.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PULSE_SERVE_TOKEN", raising=False)
    Path("wrong.pem").write_text("no PEM")
    assert main([NANO, *argv]) == 2
    assert said in capsys.readouterr().err


def test_a_token_that_no_header_can_hold_is_refused(capsys, monkeypatch):
    from edge_runtime.serve.cli import main

    monkeypatch.setenv("PULSE_SERVE_TOKEN", "t\u00f6ken")
    assert main([NANO]) == 2
    assert "PULSE_SERVE_TOKEN holds no token of plain letters" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(tiny, capsys):
    from edge_runtime.serve.cli import main

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([str(tiny.folder), "--port", str(port)]) == 2
    assert f"127.0.0.1:{port} cannot be listened on; choose another --port" in capsys.readouterr().err
