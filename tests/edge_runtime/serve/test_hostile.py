"""A server among clients that mean it no good, and one that is killed at the worst moments: a real process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

pytest.importorskip("uvicorn")
from serving import TOKEN, message, started

from edge_runtime.bundle import NANO
from edge_runtime.session import Session

PAGE = sorted((Path(__file__).parents[3] / "pulse" / "ecg" / "examples").glob("*.png"))[0]
ASKED = {"messages": [message(PAGE.read_bytes())]}


def stream(server):
    """The words of a streamed answer if it came whole ([DONE]), else None."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    words, whole = [], False
    with contextlib.suppress(OSError, http.client.HTTPException):
        body = json.dumps({**ASKED, "stream": True}).encode()
        connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {TOKEN}"})
        for line in connection.getresponse():
            data = line.decode().removeprefix("data: ").strip()
            if data == "[DONE]":
                whole = True
            elif data and "choices" in json.loads(data):
                words.append(json.loads(data)["choices"][0]["delta"].get("content", ""))
    return "".join(words) if whole else None


def at_once(server):
    """The words of an answer in one piece, None where none came or the server refused."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        status, answer = server.post(ASKED)
        if status == 200:
            return answer["choices"][0]["message"]["content"]
    return None


@pytest.mark.slow
def test_killed_during_answers_queues_and_stops_no_half_answer_passes_as_whole(tmp_path):
    """30 times, at moments spread over an answer's time. Nothing that is left hinders the next server."""
    want = Session.open(NANO, threads=1).look(PAGE).ask().finish().text
    server = started(NANO, tmp_path)
    begun = time.perf_counter()
    assert at_once(server) == want
    seconds = time.perf_counter() - begun  # of an answer, on this machine as busy as it is
    server.process.terminate()
    assert server.process.wait(30) == 0
    whole = broken = 0
    for k in range(30):
        server = started(NANO, tmp_path, "--waiting", "8")
        with ThreadPoolExecutor(6) as pool:
            clients = 1 if k % 3 == 0 else 6  # an answer; a queue; a queue and a stop
            asked = [pool.submit(stream if n % 2 == 0 else at_once, server) for n in range(clients)]
            time.sleep(seconds * (0.1 + 0.3 * (k // 3)))
            if k % 3 == 2:
                os.kill(server.process.pid, signal.SIGTERM)
                time.sleep(0.02 * (k // 3))
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
            for one in asked:
                assert one.result() in (want, None)
                whole, broken = whole + (one.result() == want), broken + (one.result() is None)
    assert whole
    assert broken
    server = started(NANO, tmp_path)
    assert stream(server) == at_once(server) == want
    server.process.terminate()
    assert server.process.wait(30) == 0
    print(f"30 kills: {whole} whole answers, {broken} broken off, none half")


@pytest.mark.slow
def test_hostile_clients_are_refused_within_bounds_and_others_are_served(tmp_path):
    want = Session.open(NANO, threads=1).look(PAGE).ask().finish().text
    server = started(NANO, tmp_path)
    process = psutil.Process(server.process.pid)
    assert at_once(server) == want
    before = process.memory_info().rss
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(200)]
        for k, connection in enumerate(slow):
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"[: 10 + k % 40])
        begun = time.perf_counter()
        assert at_once(server) == want  # beside 200 connections that are open and slow
        beside = time.perf_counter() - begun
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            connection.request("POST", "/v1/chat/completions", b"{}", headers)
            assert connection.getresponse().status == 401
        for path in (
            "/../../etc/passwd",
            "/page/..%2f..%2fapp.py",
            "/page/%2e%2e/%2e%2e/app.py",
            "//etc/passwd",
            "/%00",
        ):
            assert server.get(path)[0] == 404
        body, taken = b"x" * (100 << 20), time.perf_counter()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            assert server.post(body)[0] == 413
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            assert server.post(body, {"Authorization": "Bearer wrong"})[0] == 401
        taken = time.perf_counter() - taken
        assert at_once(server) == want
        time.sleep(11)
        closed = 0
        for connection in slow:
            connection.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1024) == b""
            closed += 1
    after = process.memory_info().rss
    assert after - before < 150e6
    print(
        f"200 slow connections: {beside:.2f} s for an answer beside them, all {closed} cut off; two bodies of 100 MB "
        f"refused in {taken:.2f} s; memory {before / 1e6:.0f} -> {after / 1e6:.0f} MB"
    )
    server.process.terminate()
    assert server.process.wait(30) == 0
