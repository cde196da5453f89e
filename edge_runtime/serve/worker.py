"""One copy of the model for many requests: a single thread answers them in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge_runtime import pages
from edge_runtime.observation import Observation
from edge_runtime.questions import needs_measuring
from edge_runtime.serve.protocol import Question, Result
from edge_runtime.session import Session


class Busy(Exception):
    """As many requests wait as may."""


class Cancelled(Exception):
    """Whoever asked has gone away, or the server stops."""


@dataclass(eq=False)
class Job:
    """A question, and who hears of it: on_piece of each piece of the answer, on_done of its end, both called in the
    worker's thread. page: what it is about, pages: how many its file has, both there from the first piece on. cancel()
    ends it before it begins or after the piece that is being written."""

    question: Question
    on_piece: Callable[[str], None]
    on_done: Callable[[Result | Exception], None]
    page: Observation | None = None
    pages: int = 1
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer."""
        return self._cancelled.is_set()


class Worker:
    """session: used by the worker's thread alone. waiting: how many jobs may wait beside the one at work."""

    def __init__(self, session: Session, waiting: int) -> None:
        self._session = session
        self._jobs, self._places = deque[Job](), waiting
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="pulse-serve", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that have not begun, and that somebody waits for."""
        with self._changed:
            return sum(not job.cancelled for job in self._jobs)

    def submit(self, job: Job) -> None:
        """Raises Busy when too many wait already, or no more are taken. Who has gone away keeps no place."""
        with self._changed:
            gone = [other for other in self._jobs if other.cancelled]
            for other in gone:
                self._jobs.remove(other)
            full = self._stopped or len(self._jobs) >= self._places
            if not full:
                self._jobs.append(job)
                self._changed.notify()
        for other in gone:
            other.on_done(Cancelled())
        if full:
            raise Busy

    def stop(self) -> None:
        """Take no more jobs, finish those that are in, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _next(self) -> Job | None:
        """The job whose turn it is, once there is one; None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopped)
            return self._jobs.popleft() if self._jobs else None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.on_done(self._answer(job))
            # Whatever it is, it is this request's: the next one is answered.
            except Exception as error:
                job.on_done(error)

    def _answer(self, job: Job) -> Result:
        if job.cancelled:
            raise Cancelled
        names = ("max_new_tokens", "temperature", "top_p", "seed", "allow_non_ecg")
        asked: dict[str, Any] = {name: getattr(job.question, name) for name in names}
        picture = job.question.picture
        measure = job.question.measure or needs_measuring(job.question.question or "")
        job.page = page = self._session.look(picture, job.question.page_number, measure)
        job.pages = pages.count(picture)
        # Before the answer, so that a bundle without cases refuses the request whole.
        wanted, similar = job.question.similar, None
        if wanted is not None:
            similar = page.similar(wanted) if page.looks_like_ecg else []
        for question, answer in job.question.turns:
            page.remember(question or self._session.inference.default_question, answer)
        reply = page.ask(job.question.question, **asked)
        for piece in reply:
            if job.cancelled:
                raise Cancelled
            job.on_piece(piece)
        # Asked here, since the engine is this thread's alone.
        return Result(page, reply.finish(), page.whole if page.looks_like_ecg else None, job.pages, similar)
