"""The history: answers are kept, found, shown, shared, deleted, encrypted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from demo_app import share
from demo_app.actions.core import Core
from demo_app.drafts import jpeg
from demo_app.history import Entry, Locked
from demo_app.state import Case
from demo_app.worker import Job
from edge_runtime import image as pictures

# A page is stored as it was answered; what a screen cannot show is not worth its megabytes.
_STORED = 1600


class Entries(Core):
    """What is done with entries of the history."""

    def _keep(self, case: Case) -> None:
        """The case as an entry: for sharing at once, and in the history if one is kept."""
        assert case.first is not None
        assert case.by is not None
        timing = {key: round(value, 3) for key, value in vars(case.first.timing).items()}
        found = tuple(case.findings)
        by, old, why = case.by, case.entry, case.first.finish_reason
        entry = Entry(tuple(case.turns), found, by.name, by.target, by.digest, why, timing, case.title, case.created)
        entry = replace(entry, similar=tuple(case.similar))
        if case.evidence is not None:
            entry = replace(entry, measured=case.evidence.measured.as_json())
        if old is not None:
            entry = replace(entry, id=old.id)
        fresh, case.entry = old is None, entry
        page = case.page
        if page is None or not self.settings.keep_history or self.history.locked:
            return

        def work(job: Job) -> None:
            self.history.save(entry, jpeg(_at_most(page, _STORED)))
            if fresh:
                self.draft.clear()

        self._file_worker.submit(work, self.failing("history"))

    def search(self, words: str) -> None:
        """Fill state.entries with what matches; an earlier search that still runs is dropped."""
        self.state.search = words
        if self._searching is not None:
            self._searching.cancel()

        def work(job: Job) -> None:
            try:
                found = self.history.entries(words)
            except Locked:
                found = []
            job.post(lambda: done(found))

        def done(found: list[Entry]) -> None:
            self.state.entries = found
            self.follow()

        self._searching = self._file_worker.submit(work, self.failing("history"))

    def show_entry(self, entry: Entry) -> None:
        self.state.shown, self.state.shown_page = entry, None
        self.go("entry")

        def work(job: Job) -> None:
            page = pictures.load(self.history.page(entry.id))
            job.post(lambda: done(page))

        def done(page: Image.Image) -> None:
            if self.state.shown is entry:
                self.state.shown_page = page
                self.show()

        self._file_worker.submit(work, self.failing("history"))

    def delete(self, id: str | None) -> None:
        """One entry, or all for None."""
        self._then(lambda: self.history.delete(id), self._deleted)

    def _deleted(self) -> None:
        if self.state.screen == "entry":
            self.state.back.clear()
            self.state.screen = "history"
        self.state.entries = None
        self.search(self.state.search)
        self.show()

    def unlock(self, passphrase: str) -> None:
        self._then(lambda: self.history.unlock(passphrase), self._reopened)

    def encrypt_history(self, passphrase: str) -> None:
        def work() -> None:
            self.history.encrypt(passphrase)
            self.draft.clear()

        self._then(work, self._reopened)

    def decrypt_history(self) -> None:
        self._then(self.history.decrypt, self._reopened)

    def _reopened(self) -> None:
        self.state.error = ""
        self.search(self.state.search)
        self.show()

    def _then(self, work: Callable[[], object], done: Callable[[], object]) -> None:
        """Work on the files' thread, then `done` here."""

        def both(job: Job) -> None:
            work()
            job.post(done)

        self._file_worker.submit(both, self.failing("history"))

    def share(self, entry: Entry, suffix: str) -> None:
        """Save as .pdf or .png; shared(path) when it is there."""
        case, state = self.state.case, self.state
        page = state.shown_page if state.screen == "entry" else case.page if case is not None else None
        if page is None:
            return
        target, language = self.data / "shared" / share.file_name(entry, suffix), self.language
        # The curves of an entry that is not open any more are not kept.
        evidence = case.evidence if state.screen != "entry" and case is not None else None

        def work(job: Job) -> None:
            share.save(entry, page, target, language, evidence)
            job.post(lambda: self.shared(target))

        self._file_worker.submit(work, self.failing("share"))


def _at_most(picture: Image.Image, longest: int) -> Image.Image:
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
