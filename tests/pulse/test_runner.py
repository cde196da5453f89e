"""The runner that pulse-read, pulse-instruct and pulse-bench share: nothing is lost, a fault stays with its item."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from edge_runtime.errors import UserError
from pulse.runner import Processes, run, run_in

EVAL = partial(partial, eval)  # what a new process can import; an item is an expression
DIES = "__import__('os')._exit(1)"


@pytest.mark.parametrize("processes", [1, 3])
def test_every_item_is_worked_on_once(processes):
    assert sorted(run((f"{k}*{k}" for k in range(40)), EVAL, processes)) == [k * k for k in range(40)]
    assert list(run(iter([]), EVAL, processes)) == []


def test_an_item_that_takes_its_process_down_costs_no_other(tmp_path):
    tried = f"open({str(tmp_path / 'tried')!r}, 'a').write('x') and {DIES}"
    found = list(run(["1", tried, *map(str, range(2, 9))], EVAL, 2, lambda item: f"lost {item}"))
    assert sorted(map(str, found)) == sorted(map(str, [*range(1, 9), f"lost {tried}"]))
    assert (tmp_path / "tried").read_text() == "xxx"
    with pytest.raises(UserError, match="took the process that worked on it down"):
        list(run(["1", DIES], EVAL, 2))


def test_a_process_that_dies_once_is_no_fault_of_its_item(tmp_path):
    mark = str(tmp_path / "a")
    once = f"8 if __import__('os').path.exists({mark!r}) else open({mark!r}, 'w') and {DIES}"
    assert sorted(run(["1", once, "2"], EVAL, 2)) == [1, 2, 8]


class _Threes(Processes):
    batch = 3


def test_a_batch_that_is_lost_is_tried_item_by_item():
    items = [str(k) if k != 4 else DIES for k in range(10)]
    found = list(run_in(_Threes(EVAL, 2), items, lambda item: -1))
    assert sorted(found) == [-1, 0, 1, 2, 3, 5, 6, 7, 8, 9]


def test_what_the_work_or_its_opening_raises_is_raised():
    for begin in (EVAL, partial(eval, "1/0")):
        with pytest.raises(ZeroDivisionError):
            list(run(["1", "1/0", "2"], begin, 2))


def test_a_process_that_is_killed_while_it_waits_is_replaced():
    found = run_in(Processes(EVAL, 1), ["__import__('os').getpid()", "7"])
    os.kill(next(found), signal.SIGKILL)
    assert list(found) == [7]


PARENT = """
import time
from functools import partial
from pulse.runner import Processes, run_in
if __name__ == "__main__":
    for pid in run_in(Processes(partial(partial, eval), 1), ["__import__('os').getpid()", "1"]):
        print(pid, flush=True)
        time.sleep(600)
"""


def test_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([worker], timeout=60)[1] == []
