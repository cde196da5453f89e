"""Many inputs through several processes, each with a session of its own; one that takes its process down is named."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from edge_runtime.session import Session
from pulse.archive.reading import Row, rows_of
from pulse.archive.sources import Input

_AHEAD = 4  # inputs a process that are under way or wait for it


def read_all(pending: Iterator[Input], bundle: str, question: str | None, processes: int) -> Iterator[list[Row]]:
    """The rows of each input as they are done, in no order. processes: 1 reads in this one."""
    if processes <= 1:
        _open(bundle)
        yield from (_rows(one, question) for one in pending)
        return
    suspects: list[Input] = []
    while True:
        try:
            yield from _in_pool(pending, bundle, question, processes, suspects)
        except BrokenProcessPool:
            # One of those under way did it: each is tried alone.
            yield from _one_by_one(suspects, bundle, question)
            suspects.clear()
            continue
        return


def _in_pool(
    pending: Iterator[Input], bundle: str, question: str | None, processes: int, under_way: list[Input]
) -> Iterator[list[Row]]:
    """under_way: what has begun and is not done, kept for the caller where the pool breaks."""
    with _pool(bundle, processes) as pool:
        futures: dict[Future[list[Row]], Input] = {}
        while True:
            while len(futures) < _AHEAD * processes and (one := next(pending, None)) is not None:
                under_way.append(one)
                futures[pool.submit(_rows, one, question)] = one
            if not futures:
                return
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                rows = future.result()
                under_way.remove(futures.pop(future))
                yield rows


def _one_by_one(suspects: list[Input], bundle: str, question: str | None) -> Iterator[list[Row]]:
    for one in suspects:
        try:
            with _pool(bundle, 1) as pool:
                yield pool.submit(_rows, one, question).result()
        except BrokenProcessPool:
            kind = "record" if one.is_record else "picture"
            yield [Row(one.name, 1, None, kind, error="failed (it took the process that read it down)")]


def _pool(bundle: str, processes: int) -> ProcessPoolExecutor:
    # Spawned: a fork of a process whose threads hold a lock never gets that lock back.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, mp_context=spawn, initializer=_open, initargs=(bundle,))


_session: Session  # of a process


def _open(bundle: str) -> None:
    global _session
    _session = Session.open(bundle, threads=1)


def _rows(one: Input, question: str | None) -> list[Row]:
    return rows_of(one, _session, question)
