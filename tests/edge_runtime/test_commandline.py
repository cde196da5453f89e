"""How every command ends: its exit status, and at most one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from edge_runtime.commandline import Parser, run
from edge_runtime.errors import UserError


def raising(error):
    def body():
        raise error

    return body


def test_statuses_and_what_is_said(capsys):
    assert run("pulse-x", lambda: 0) == 0
    assert run("pulse-x", lambda: 1) == 1
    assert capsys.readouterr() == ("", "")
    assert run("pulse-x", raising(UserError("no such page; give another"))) == 2
    assert capsys.readouterr().err == "pulse-x: no such page; give another\n"
    assert run("pulse-x", lambda: Parser(prog="pulse-x").parse_args(["--so"]) and 0) == 2
    assert capsys.readouterr().err == "pulse-x: unrecognized arguments: --so; see pulse-x --help\n"
    assert run("pulse-x", raising(KeyboardInterrupt())) == 130
    with pytest.raises(KeyError):  # a fault of ours is no wrong use
        run("pulse-x", raising(KeyError("k")))


def test_a_reader_that_goes_away_ends_it_quietly():
    program = "from edge_runtime.commandline import run; import sys; sys.exit(run('x', lambda: print('a' * 9) or 0))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
