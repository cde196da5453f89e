"""`pulse-bench serve` on a real server: every answer is right, and damaged requests are told so."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.cli import main
from benchmarks.verbs import _serve

pytest.importorskip("uvicorn")


def test_many_clients_lose_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_serve, "_TURNS", 2)
    argv = ["serve", "pulse-nano", "--clients", "4", "--requests", "31", "--threads", "1", "--json"]
    assert main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["requests"], found["damaged"], found["wrong"]) == (31, 3, 0)
    assert found["requests_per_s"] > 0
    assert "31 requests, 3 of them damaged: 0 answered wrongly" in _serve.as_text(found)


def test_a_wrong_answer_is_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_serve, "_TURNS", 1)
    monkeypatch.setattr(_serve, "_probabilities", lambda session, picture: [0.5])
    assert main(["serve", "--clients", "2", "--requests", "4", "--threads", "1"]) == 1
    assert "4 answered wrongly" in capsys.readouterr().out


def test_a_server_that_does_not_begin_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_serve, "_TURNS", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert main(["serve", "--requests", "1"]) == 2
    assert "the server did not begin: without a word" in capsys.readouterr().err
