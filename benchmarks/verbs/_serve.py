"""A real pulse-serve on loopback, asked by many threads: each answer is held against the session's own."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from edge_runtime.errors import UserError
from edge_runtime.session import Session

_PATH = "/v1/chat/completions"
_START_S, _ANSWER_S = 60.0, 600.0
_TURNS = 25  # of the session in a loop, and of one client
_EVERY = 10  # one request in so many is cut off, damaged or too large
_MB = 4  # the server's limit
_Way = tuple[list[float], Callable[[bytes], Any], list[bytes]]  # milliseconds so far, what is timed, of what
_CLOSE = 1e-3  # of probabilities: another process adds in the same order


def measure(bundle: str, clients: int, requests: int, threads: int | None) -> dict[str, Any]:
    """Milliseconds of a request in the session's own loop, by one client, and by many at once; how many answers were
    lost or not that picture's own; the server's memory before and after. The overhead is the median of paired
    differences: the same picture by both, which come by turns. Raises UserError when no server begins."""
    from export.pages import example_pages

    pictures = [path.read_bytes() for path in example_pages()]
    session = Session.open(bundle, threads)
    want = [_probabilities(session, picture) for picture in pictures]
    bodies = [_body(picture) for picture in pictures]
    with _server(bundle, threads) as (port, process):
        ask = _asker(port, pictures, want)
        loop: list[float] = []
        alone: list[float] = []
        for turn in range(_TURNS):
            ways: list[_Way] = [
                (loop, partial(_probabilities, session), pictures),
                (alone, partial(_post, port), bodies),
            ]
            for taken, ask_for, each in ways[:: 1 if turn % 2 else -1]:
                ask_for(each[0])  # the caches are the other process's
                taken += [_timed(partial(ask_for, one))[0] for one in each * 2]
        before = process.memory_info().rss
        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(ask, range(requests)))
        seconds = time.perf_counter() - started
        after = process.memory_info().rss
    good = [taken for k, (taken, _) in enumerate(answers) if not _is_bad(k)]
    return {
        "clients": clients,
        "requests": requests,
        "damaged": requests - len(good),
        "wrong": sum(not right for _, right in answers),
        "requests_per_s": requests / seconds,
        "session_ms": _spread(loop),
        "one_client_ms": _spread(alone),
        "many_clients_ms": _spread(good),
        "overhead_ms": float(np.median(np.subtract(alone, loop))),
        "memory_mb": {"before": before / 1e6, "after": after / 1e6},
    }


def as_text(found: dict[str, Any]) -> str:
    """The figures in lines."""
    rows = [("session in a loop", "session_ms"), ("one client", "one_client_ms"), ("many clients", "many_clients_ms")]
    lines = [f"{name:18} {found[key]['p50']:8.1f} ms p50 {found[key]['p95']:8.1f} ms p95" for name, key in rows]
    memory = found["memory_mb"]
    return "\n".join(
        [
            *lines,
            f"overhead of a request {found['overhead_ms']:.1f} ms; {found['requests_per_s']:.1f} requests/s of "
            f"{found['clients']} clients; memory {memory['before']:.0f} MB before, {memory['after']:.0f} after",
            f"{found['requests']} requests, {found['damaged']} of them damaged: {found['wrong']} answered wrongly",
        ]
    )


def _probabilities(session: Session, picture: bytes) -> list[float]:
    answer = session.look(picture).ask().finish()
    return [found.probability for found in answer.findings]


def _is_bad(k: int) -> bool:
    return k % _EVERY == _EVERY - 1


def _asker(port: int, pictures: Sequence[bytes], want: Sequence[list[float]]) -> Callable[[int], tuple[float, bool]]:
    """ask(k): milliseconds of the k-th request, and whether its answer is right."""

    def ask(k: int) -> tuple[float, bool]:
        picture, expected = pictures[k % len(pictures)], want[k % len(pictures)]
        if not _is_bad(k):
            taken, (status, answer) = _timed(lambda: _post(port, _body(picture)))
            got = [found["probability"] for found in answer["pulse"]["findings"]] if status == 200 else []
            return taken, len(got) == len(expected) and bool(np.allclose(got, expected, atol=_CLOSE))
        kind = (k // _EVERY) % 3
        if kind == 0:  # a picture that is cut off
            taken, (status, _) = _timed(lambda: _post(port, _body(picture[:200])))
            return taken, status == 400
        if kind == 1:  # no JSON
            taken, (status, _) = _timed(lambda: _post(port, _body(picture)[:-9]))
            return taken, status == 400
        taken, (status, _) = _timed(lambda: _post(port, b" " * ((_MB << 20) + 1)))
        return taken, status == 413

    return ask


def _body(picture: bytes) -> bytes:
    url = "data:image/png;base64," + base64.b64encode(picture).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}]
    return json.dumps({"messages": [{"role": "user", "content": content}]}).encode()


def _post(port: int, body: bytes) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_S)
    try:
        connection.request("POST", _PATH, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        connection.close()


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return 1e3 * (time.perf_counter() - started), result


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}


@contextmanager
def _server(bundle: str, threads: int | None) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a server that is told to stop at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "edge_runtime.commands", "pulse-serve", bundle, "--port", str(port)]
    argv += ["--waiting", "1000", "--timeout", f"{_ANSWER_S:g}", "--max-mb", str(_MB)]
    argv += [] if threads is None else ["--threads", str(threads)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        _wait(port, process)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=_START_S)


def _wait(port: int, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends:
        if process.poll() is not None:
            said = process.communicate()[1].strip().splitlines()
            raise UserError(f"the server did not begin: {said[-1] if said else 'without a word'}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise UserError(f"the server did not begin within {_START_S:g} s; try again on a quieter machine")
