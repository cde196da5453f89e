"""The queue before the model: places, cancelling, faults that stay with their request. The engine is slowed down, so
that what comes meanwhile is certain."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading

import pytest
from PIL import Image

from edge_runtime.bundle import Provenance
from edge_runtime.engines.onnx import OnnxEngine
from edge_runtime.errors import UserError
from edge_runtime.serve.protocol import Question
from edge_runtime.serve.worker import Busy, Cancelled, Job, Worker
from edge_runtime.session import Session

pytest.importorskip("starlette")


@pytest.fixture
def picture(page):
    buffer = io.BytesIO()
    Image.fromarray(page).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def gate(monkeypatch):
    """The engine's decode waits for it; entered: the first wait has begun."""
    opened, entered, decode = threading.Event(), threading.Event(), OnnxEngine.decode

    def waiting(self, embeds, cache):
        entered.set()
        assert opened.wait(30)
        return decode(self, embeds, cache)

    monkeypatch.setattr(OnnxEngine, "decode", waiting)
    opened.entered = entered
    yield opened
    opened.set()


class Asked:
    """A job whose end is waited for."""

    def __init__(self, picture, question="normal?"):
        self.pieces, self.end, self.ended = [], None, threading.Event()
        asked = Question(picture, (), question, False, None, None, None, None)
        self.job = Job(asked, self.pieces.append, self._done)

    def _done(self, end):
        self.end = end
        self.ended.set()

    def result(self):
        assert self.ended.wait(30)
        return self.end


def test_what_has_no_place_is_refused_and_the_others_are_answered_in_turn(tiny, picture, gate):
    worker = Worker(Session.open(tiny.folder, threads=1), waiting=2)
    jobs = [Asked(picture) for _ in range(3)]
    worker.submit(jobs[0].job)
    assert gate.entered.wait(30)
    for asked in jobs[1:]:
        worker.submit(asked.job)
    with pytest.raises(Busy):
        worker.submit(Asked(picture).job)
    assert worker.waiting == 2
    gate.set()
    answers = [asked.result()[1].text for asked in jobs]
    assert answers == ["".join(asked.pieces) for asked in jobs]
    assert len(set(answers)) == 1
    worker.stop()
    with pytest.raises(Busy):
        worker.submit(Asked(picture).job)


def test_who_goes_away_is_not_waited_for(tiny, picture, gate):
    worker = Worker(Session.open(tiny.folder, threads=1), waiting=2)
    gone, stays, never = Asked(picture), Asked(picture), Asked(picture)
    worker.submit(gone.job)
    assert gate.entered.wait(30)
    gone.job.cancel()
    never.job.cancel()
    worker.submit(never.job)
    worker.submit(stays.job)
    gate.set()
    assert isinstance(gone.result(), Cancelled)
    assert isinstance(never.result(), Cancelled)
    assert (never.pieces, gone.pieces) == ([], [])
    assert stays.result()[1].text
    worker.stop()


def test_who_has_gone_away_keeps_no_place(tiny, picture, gate):
    worker = Worker(Session.open(tiny.folder, threads=1), waiting=1)
    first, gone, stays = Asked(picture), Asked(picture), Asked(picture)
    worker.submit(first.job)
    assert gate.entered.wait(30)
    worker.submit(gone.job)
    gone.job.cancel()
    assert worker.waiting == 0
    worker.submit(stays.job)
    assert isinstance(gone.result(), Cancelled)
    assert worker.waiting == 1
    with pytest.raises(Busy):
        worker.submit(Asked(picture).job)
    gate.set()
    assert first.result()[1].text == stays.result()[1].text
    worker.stop()


def test_a_fault_stays_with_its_request(tiny, picture, monkeypatch):
    worker = Worker(Session.open(tiny.folder, threads=1), waiting=2)
    damaged = Asked(picture[:40])
    worker.submit(damaged.job)
    assert isinstance(damaged.result(), UserError)
    vision = OnnxEngine.vision
    monkeypatch.setattr(OnnxEngine, "vision", lambda self, pixels: 1 / 0)
    broken = Asked(picture)
    worker.submit(broken.job)
    assert isinstance(broken.result(), ZeroDivisionError)
    monkeypatch.setattr(OnnxEngine, "vision", vision)
    good = Asked(picture)
    worker.submit(good.job)
    assert good.result()[1].text
    worker.stop()


def request(app, body):
    """(status, body) of a POST to the application, by a client that is gone when it is asked for again."""
    sent, messages = [], [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "headers": [],
        "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_the_application_cancels_refuses_and_says_so(tiny, picture, gate):
    from edge_runtime.serve.app import Limits, create_app

    worker = Worker(Session.open(tiny.folder, threads=1), waiting=1)
    app = create_app(worker, Provenance("tiny", "onnx", "notice", "0" * 64, None), None, Limits(answer_s=60))
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    assert request(app, body)[0] == 499  # the client went away while the model was at work
    assert gate.entered.wait(30)
    worker.submit(Asked(picture).job)
    status, said = request(app, body)
    assert (status, json.loads(said)["error"]["type"]) == (429, "rate_limit_error")
    gate.set()
    worker.stop()


def test_an_answer_that_takes_too_long_is_given_up(tiny, picture, gate, monkeypatch):
    from starlette.requests import Request

    from edge_runtime.serve.app import Limits, create_app

    async def stays(self):
        return False

    monkeypatch.setattr(Request, "is_disconnected", stays)
    worker = Worker(Session.open(tiny.folder, threads=1), waiting=1)
    app = create_app(worker, Provenance("tiny", "onnx", "notice", "0" * 64, None), None, Limits(answer_s=0.3))
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    status, said = request(app, json.dumps({"messages": [{"role": "user", "content": content}]}).encode())
    assert (status, "no answer within 0.3 s" in json.loads(said)["error"]["message"]) == (504, True)
    gate.set()
    worker.stop()
