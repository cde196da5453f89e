"""The model's side of the app: a loaded bundle, the page it has looked at, and the conversation about it.

Used by one worker thread only. Every step of the model passes `Interruptible`, which is where a job that was cancelled
stops: at the model's next step (a token, a finding, the vision tower), not at the end of an answer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from demo_app.bundles import readable
from demo_app.worker import Job
from edge_runtime.answer import Answer
from edge_runtime.bundle import Bundle
from edge_runtime.engines import Cache, Engine, open_engine
from edge_runtime.findings import Finding
from edge_runtime.manifest import MANIFEST
from edge_runtime.measure import reading, result
from edge_runtime.observation import Observation
from edge_runtime.session import Session, cases_of
from edge_runtime.similar import Case
from edge_runtime.tokenizer import Tokenizer


@dataclass(frozen=True)
class Loaded:
    """What the app shows about the bundle that runs. digest: SHA-256 of its manifest, which covers every file."""

    folder: Path
    name: str
    target: str
    title: str
    weights: str
    digest: str
    notice: str
    question: str
    load_ms: float


class Interruptible:
    """An engine that asks before each step whether it is still wanted; see engines.Engine for the shapes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.check: Callable[[], None] = lambda: None

    def vision(self, pixels: np.ndarray) -> np.ndarray:
        self.check()
        return self._engine.vision(pixels)

    def embed(self, ids: Sequence[int]) -> np.ndarray:
        return self._engine.embed(ids)

    def empty_cache(self) -> Cache:
        return self._engine.empty_cache()

    def decode(self, embeds: np.ndarray, cache: Cache) -> tuple[np.ndarray, Cache]:
        self.check()
        return self._engine.decode(embeds, cache)


class Reader:
    """One bundle and one page at a time."""

    def __init__(self, open_engine: Callable[[Bundle], Engine] = open_engine) -> None:
        self._open_engine = open_engine
        self._session: Session | None = None
        self._engine: Interruptible | None = None
        self._page: Observation | None = None
        self._has_cases = False
        # The conversation after so many answers: before the last question and behind it.
        self._after: dict[int, tuple[Cache, list[int] | None]] = {}
        self.loaded: Loaded | None = None

    def load(self, folder: Path, key: Path | None, job: Job) -> Loaded:
        """Check and load a bundle; the one before is let go first. key: who must have signed it. Raises UserError."""
        self._session = self._engine = self._page = self.loaded = None
        started = time.perf_counter()
        bundle = Bundle.load(folder, key)
        job.check()
        engine = Interruptible(self._open_engine(bundle))
        cases = cases_of(bundle)
        session = Session(engine, bundle.manifest.inference, Tokenizer(bundle.path("tokenizer")), cases)
        manifest, raw = bundle.manifest, (folder / MANIFEST).read_bytes()
        self._session, self._engine, self._has_cases = session, engine, cases is not None
        self.loaded = Loaded(
            folder,
            readable(manifest.name),
            manifest.target,
            readable(manifest.title or manifest.target),
            readable(manifest.weights),
            hashlib.sha256(raw).hexdigest(),
            manifest.inference.notice,
            manifest.inference.default_question,
            1e3 * (time.perf_counter() - started),
        )
        return self.loaded

    def look(self, page: Image.Image, job: Job, turns: int = 0) -> Observation:
        """Read and measure a page; the conversation starts anew, without the `turns` answers that were given before."""
        session = self._ready(job)
        self._page, self._after = None, {}
        self._page = session.look(page, measure=True)
        self._after = {turns: self._page.conversation}
        return self._page

    @property
    def page(self) -> Observation | None:
        """The page of the conversation, None before look() has ended."""
        return self._page

    def ask(
        self,
        question: str | None,
        job: Job,
        on_text: Callable[[str], None],
        turns: int = 0,
        allow_non_ecg: bool = False,
    ) -> Answer:
        """Answer, going on after the page's first `turns` answers: their keys and values are still there.

        The window says how many there are, for only it knows which ones it took: one may be cancelled after its last
        word was said.
        """
        self._ready(job)
        if self._page is None:
            raise RuntimeError("no page was looked at")
        self._page.conversation = before = self._after[turns]
        reply = self._page.ask(question, findings=False, allow_non_ecg=allow_non_ecg)
        for piece in reply:
            job.check()
            on_text(piece)
        answer = reply.finish()
        self._after = {turns: before, turns + 1: self._page.conversation}
        return answer

    def findings(self, job: Job, on_finding: Callable[[Finding], None]) -> None:
        """Every finding of the page, one by one as it is computed."""
        self._ready(job)
        if self._page is None:
            raise RuntimeError("no page was looked at")
        for finding in self._page.each_finding():
            job.check()
            on_finding(finding)

    def similar(self, job: Job, k: int) -> list[Case]:
        """The k cases most like the page; none where the bundle has none, or the page does not look like an ECG."""
        self._ready(job)
        if self._page is None:
            raise RuntimeError("no page was looked at")
        return self._page.similar(k) if self._has_cases and self._page.looks_like_ecg else []

    def measure(self, page: Image.Image, job: Job) -> tuple[dict[str, float], dict[str, object]]:
        """edge_runtime.measure's figures of one reading, and its result; the conversation is over."""
        session = self._ready(job)
        self._page = None
        figures, seen, ids = reading(session, page)
        return figures, result(session, session.inference.default_question, seen, ids)

    def _ready(self, job: Job) -> Session:
        if self._session is None or self._engine is None:
            raise RuntimeError("no bundle is loaded")
        self._engine.check = job.check
        return self._session
