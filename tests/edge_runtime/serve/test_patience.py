"""Who does not send the head of a request in time is cut off; who does is answered."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn")
import uvicorn
from serving import free_port
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge_runtime.serve import patience

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def connect(monkeypatch):
    monkeypatch.setattr(patience, "HEAD_S", 1.5)
    port = free_port()
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    config = uvicorn.Config(app, "127.0.0.1", port, http=patience.PunctualProtocol, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
    server.should_exit = True
    thread.join()


def is_cut_off(connection):
    with contextlib.suppress(ConnectionResetError):
        while data := connection.recv(4096):
            assert b"200 OK" not in data
    return True


def test_silent_and_trickling_clients_are_cut_off(connect):
    silent, half, trickling = connect(), connect(), connect()
    half.sendall(HEAD)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for k in range(500):
            trickling.sendall(HEAD if k == 0 else b"X-%d: y\r\n" % k)
            time.sleep(0.02)
        pytest.fail("a client that trickles was heard for ten seconds")
    assert is_cut_off(silent)
    assert is_cut_off(half)


def test_who_is_in_time_is_answered_again_and_again(connect):
    connection = connect()
    answers = connection.makefile("rb")
    for _ in range(3):
        connection.sendall(HEAD)
        time.sleep(0.1)
        connection.sendall(b"\r\n")
        assert b"200 OK" in answers.readline()
        while answers.readline() != b"\r\n":
            pass
        assert answers.read(4) == b"here"
    connection.sendall(HEAD)
    assert is_cut_off(connection)
