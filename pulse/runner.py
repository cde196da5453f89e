"""Many items through one function in several processes: pulse-read, pulse-instruct and pulse-bench work so.

A process has one item at a time. So the item that takes its process down (out of memory, a fault of a decoder) is
known, and costs nobody else's work.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from edge_runtime.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
Begin = Callable[[], Callable[[T], R]]
"""Called once in a process, it opens what the work needs and returns the work. Pickled, as the items are."""
TRIES = 3  # processes that an item may take down, before it is given up


class Pool(ABC, Generic[T, R]):
    """Where batches of items are worked on. batch: items in each. lost: what a future raises whose process ended."""

    batch: int
    lost: tuple[type[Exception], ...]

    @abstractmethod
    def places(self) -> int:
        """Batches that may be under way."""

    @abstractmethod
    def submit(self, items: Sequence[T]) -> Future[list[R]]:
        """Called for at most so many at a time."""

    @abstractmethod
    def close(self) -> None:
        """End the processes."""


def run(items: Iterable[T], begin: Begin[T, R], processes: int, lost: Callable[[T], R] | None = None) -> Iterator[R]:
    """What the work makes of each item, as it is done, in no order. processes: 1 works in this one.

    lost: what stands for an item that took its process down TRIES times; None raises UserError. What the work itself
    raises is raised here.
    """
    if processes <= 1:
        yield from map(begin(), items)
    else:
        yield from run_in(Processes(begin, processes), items, lost)


class _Batch(NamedTuple, Generic[T]):
    items: list[T]
    tries: int


def run_in(pool: Pool[T, R], items: Iterable[T], lost: Callable[[T], R] | None = None) -> Iterator[R]:
    """As run, in a pool, which is closed at the end."""
    rest, again = iter(items), deque[_Batch[T]]()
    waiting: dict[Future[list[R]], _Batch[T]] = {}
    done: SimpleQueue[Future[list[R]]] = SimpleQueue()
    with closing(pool):
        while True:
            while len(waiting) < pool.places():
                batch = again.popleft() if again else _Batch(list(islice(rest, pool.batch)), 0)
                if not batch.items:
                    break
                future = pool.submit(batch.items)
                waiting[future] = batch
                future.add_done_callback(done.put)
            if not waiting:
                return
            future = done.get()
            batch = waiting.pop(future)
            try:
                yield from future.result()
            except pool.lost:
                # One of them did it; each alone shows which.
                tries = batch.tries + (len(batch.items) == 1)
                if tries < TRIES:
                    again += [_Batch([item], tries) for item in batch.items]
                else:
                    yield (lost or _give_up)(batch.items[0])


def _give_up(item: object) -> Any:
    raise UserError(f"{item}: took the process that worked on it down; is there enough memory?")


class Processes(Pool[T, R]):
    """A Pool of processes of this machine, each an executor of its own."""

    batch = 1
    lost = (BrokenProcessPool,)

    def __init__(self, begin: Begin[T, R], count: int) -> None:
        self._begin, self._count = begin, count
        self._free = [self._executor() for _ in range(count)]
        self._busy: dict[Future[list[R]], ProcessPoolExecutor] = {}

    def places(self) -> int:
        return self._count

    def submit(self, items: Sequence[T]) -> Future[list[R]]:
        executor = self._free.pop()
        try:
            future = executor.submit(_unit, items)
        except BrokenProcessPool:  # killed while it had nothing to do
            executor = self._executor()
            future = executor.submit(_unit, items)
        self._busy[future] = executor
        future.add_done_callback(self._ended)
        return future

    def close(self) -> None:
        for executor in (*self._free, *self._busy.values()):
            executor.shutdown()

    def _ended(self, future: Future[list[R]]) -> None:
        executor = self._busy.pop(future)
        if isinstance(future.exception(), BrokenProcessPool):
            executor.shutdown(wait=False)
            executor = self._executor()
        self._free.append(executor)

    def _executor(self) -> ProcessPoolExecutor:
        # Spawned: a fork of a process whose threads hold a lock never gets that lock back.
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_keep, initargs=(self._begin,))


_begin: Begin[Any, Any]  # of a process
_work: Callable[[Any], Any] | None = None


def _keep(begin: Begin[Any, Any]) -> None:
    global _begin
    _begin = begin
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A killed parent says no goodbye, and a process that waits for its next item would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _unit(items: Sequence[Any]) -> list[Any]:
    # Opened here, not in the initializer: what opening raises is then raised where the results are read.
    return worked(_begin, items)


def worked(begin: Begin[Any, Any], items: Sequence[Any]) -> list[Any]:
    """What the work makes of each item, in a process that serves one run alone."""
    global _work
    _work = _work or begin()
    return [_work(item) for item in items]
