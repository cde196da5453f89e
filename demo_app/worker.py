"""Work off the window's thread: one thread per worker, jobs in order, cancelled at any moment.

ONNX Runtime, Pillow, SHA-256 and SQLite let go of Python's lock while they compute, so a thread is enough to keep the
window moving (docs/app.md has the measured gaps), and a thread is what Android and iOS allow: neither can fork.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable

from edge_runtime.errors import UserError

log = logging.getLogger(__name__)
Post = Callable[[Callable[[], object]], None]


class Cancelled(Exception):
    """Raised inside a job at the first step after it was cancelled."""


class Job:
    """One piece of work. After cancel() nothing it posts is delivered any more, even what is already on its way."""

    def __init__(self, work: Callable[[Job], None], post: Post, on_error: Callable[[str], None]) -> None:
        self._work, self._post, self._on_error = work, post, on_error
        self._stop = threading.Event()
        self.done = threading.Event()

    def cancel(self) -> None:
        """The window forgets the job at once; its thread stops at its next step."""
        self._stop.set()

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Called by the work between its steps. Raises Cancelled."""
        if self._stop.is_set():
            raise Cancelled

    def post(self, deliver: Callable[[], object]) -> None:
        """Have the window's thread call `deliver` soon, unless the job is cancelled by then."""
        self._post(lambda: None if self.cancelled else deliver())

    def run(self) -> None:
        try:
            self.check()
            self._work(self)
        except Cancelled:
            pass
        except UserError as error:
            message = str(error)
            self.post(lambda: self._on_error(message))
        except MemoryError:
            self.post(lambda: self._on_error("there is not enough memory for this; close other apps and try again"))
        except Exception as error:  # a fault of ours must reach the user as a sentence and the log as a traceback
            log.exception("a job failed")
            message = f"something went wrong ({type(error).__name__}: {error}); try again"
            self.post(lambda: self._on_error(message))
        finally:
            self.done.set()


def _step_back(nice: int = 10) -> None:
    """Where threads have a priority of their own (Linux, Android), the window's comes first.

    The engine's threads inherit it: they are made by the worker that loads the bundle.
    """
    if sys.platform in ("linux", "android"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


class Worker:
    """A thread with a queue. post: hands a callable to the window's thread (any thread may call it)."""

    def __init__(self, name: str, post: Post) -> None:
        self._post = post
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        # A daemon: leaving the app must not wait for a 7-billion-parameter step to end.
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Job], None], on_error: Callable[[str], None]) -> Job:
        """Queue `work`; on_error gets one plain sentence, on the window's thread."""
        job = Job(work, self._post, on_error)
        self._jobs.put(job)
        return job

    def close(self, timeout: float | None = None) -> None:
        """No more jobs; waits for the queued ones."""
        self._jobs.put(None)
        self._thread.join(timeout)

    def _loop(self) -> None:
        _step_back()
        while (job := self._jobs.get()) is not None:
            job.run()
