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


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(closed, tmp_path):
    # What a library writes to stdout or stderr must not end up in the file that was opened next.
    program = """
import os, sys
from edge_runtime.commandline import run
def body():
    with open(sys.argv[1], "wb") as file:
        os.write(1, b"noise"), os.write(2, b"noise"), print("said")
        file.write(b"kept")
    return 0
sys.exit(run("x", body))
"""
    command = f'"$0" -c "$1" "$2" {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable, program, tmp_path / "out"], check=False)
    assert done.returncode == 0
    assert (tmp_path / "out").read_bytes() == b"kept"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_one_line():
    program = "from edge_runtime.commandline import run; import sys; sys.exit(run('x', lambda: print('a' * 9) or 0))"
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        b"x: no space is left where it writes; free some, or write elsewhere\n",
    )


def test_a_reader_that_goes_away_ends_it_quietly():
    program = "from edge_runtime.commandline import run; import sys; sys.exit(run('x', lambda: print('a' * 9) or 0))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
