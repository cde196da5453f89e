"""What the app does, without a window: each action changes the state at once and leaves the work to a thread.

Two workers: `model` owns the bundle and the conversation; `files` reads pictures, imports bundles, writes the history.
Both hand their results to the window's thread, so the state is only ever changed there.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from demo_app import benchmark, outline, settings, share
from demo_app.bundles import Bundles, Installed
from demo_app.crop import straighten, turned
from demo_app.drafts import Draft, jpeg
from demo_app.history import Entry, History, Locked, Turn
from demo_app.paths import EXAMPLES
from demo_app.quality import judge
from demo_app.reader import Loaded, Reader
from demo_app.state import Bench, Case, Import, Model, State
from demo_app.strings import system_language, translate
from demo_app.worker import Job, Post, Worker
from edge_runtime import image as pictures
from edge_runtime.answer import Answer
from edge_runtime.errors import UserError
from edge_runtime.findings import Finding

# A page is stored as it was answered; what a screen cannot show is not worth its megabytes.
_STORED = 1600


class Actions:
    """The app's verbs. Subclasses put a window on it: post() must have callables run on the window's thread."""

    def __init__(self, data: Path, built_in: Path | None, post: Post, language: str | None = None) -> None:
        self.data = data
        self.state = State()
        self._settings_file = data / "settings.json"
        self.settings = settings.load(self._settings_file)
        self._language = language
        self.history = History(data / "history.sqlite")
        self.bundles = Bundles(data / "bundles", built_in)
        self.draft = Draft(data)
        self.reader = Reader()
        self._model_worker, self._file_worker = Worker("model", post), Worker("files", post)
        self._job: Job | None = None  # what the user waits for
        self._opening: Job | None = None
        self._importing: Job | None = None
        self._searching: Job | None = None
        self.bundles.sweep()
        self.state.bundles = self.bundles.installed()
        self._draft_title = self.draft.title()

    @property
    def busy(self) -> bool:
        """Whether anything is being read, answered, imported or measured."""
        jobs = (self._job, self._opening, self._importing)
        return any(job is not None and not job.done.is_set() for job in jobs)

    # --- what a window adds ---------------------------------------------------------------------------------

    def show(self) -> None:
        """The screen must be built anew from the state."""

    def follow(self) -> None:
        """The case moved on: text, findings or stage."""

    def prepare(self, picture: Image.Image) -> None:
        """Called off the window's thread with each picture that will be shown: the place for slow resizing."""

    def after_frame(self, call: Callable[[], object]) -> None:
        """Call once what was shown last is on the screen."""
        call()

    def frames(self, start: bool) -> float:
        """Start measuring the gaps between frames; or stop, and the longest in milliseconds. 0 without a window."""
        return 0.0

    # --- language and settings ------------------------------------------------------------------------------

    @property
    def language(self) -> str:
        return self._language or self.settings.language or system_language()

    def t(self, key: str, **values: object) -> str:
        return translate(self.language, key, **values)

    def change(self, **values: object) -> None:
        """New settings, kept on disk."""
        self.settings = self.settings.changed(**values)
        if "language" in values:
            self._language = None
        try:
            settings.save(self._settings_file, self.settings)
        except UserError as error:
            self.state.error = str(error)
        self.show()

    def go(self, screen: str) -> None:
        """Show a screen; Esc and Back lead to where we are now."""
        if screen != self.state.screen:
            self.state.back.append(self.state.screen)
        self._enter(screen)

    def go_place(self, place: str) -> None:
        """One of the four places: nothing to go back to. A reading that runs goes on, and is shown when one returns."""
        self.state.back.clear()
        case = self.state.case
        if place == "home" and case is not None and self.state.screen not in ("result", "crop", "home"):
            place = "result" if case.page is not None else "crop"
            self.state.back.append("home")
        if place == "history":
            self.search(self.state.search)
        self._enter(place)

    def go_back(self) -> bool:
        """Back to where we came from, else home; False on the home screen. A reading that is left is cancelled."""
        state = self.state
        if state.screen == "result" or (state.screen == "bench" and state.bench.runs is not None):
            self.cancel()
        if not state.back and state.screen == "home":
            return False
        self._enter(state.back.pop() if state.back else "home")
        return True

    def _enter(self, screen: str) -> None:
        self.state.screen, self.state.error = screen, ""
        self.show()

    def fail(self, message: str) -> None:
        """Say what went wrong, where the user is."""
        self.state.error, self.state.opening, self.state.importing = message, "", None
        self.show()

    # --- the model ------------------------------------------------------------------------------------------

    def load_model(self) -> None:
        """Load the chosen bundle, or the first there is, behind the window; a conversation ends with its model."""
        self.cancel()
        self.state.case = None
        chosen = [b for b in self.state.bundles if b.digest == self.settings.bundle] or self.state.bundles
        if not chosen:
            self.state.model = Model("none")
            return
        self.state.model = Model("loading")
        folder, key = chosen[0].folder, self._key()

        def ready(loaded: Loaded) -> None:
            self.state.model = Model("ready", loaded)
            self.model_changed()

        def failed(message: str) -> None:
            self.state.model = Model("failed", error=message)
            self.model_changed()

        def work(job: Job) -> None:
            loaded = self.reader.load(folder, key, job)
            job.post(lambda: ready(loaded))

        self._model_worker.submit(work, failed)

    def model_changed(self) -> None:
        """A bundle was loaded, or could not be."""
        if self.state.screen == "result":
            self.follow()
        elif self.state.screen in ("home", "models"):
            self.show()

    def _key(self) -> Path | None:
        return Path(self.settings.key) if self.settings.key else None

    def use_bundle(self, bundle: Installed) -> None:
        """Switch to another bundle."""
        self.settings = self.settings.changed(bundle=bundle.digest)
        self.load_model()
        self.change()

    def add_bundle(self, source: Path) -> None:
        """Import a folder or zip, with progress; cancel_import() stops it."""
        self.state.importing, self.state.error = Import(source.name), ""
        self.show()

        def progress(job: Job, last: list[float], share_done: float) -> None:
            job.check()
            if share_done - last[0] >= 0.02 or share_done >= 1:
                last[0] = share_done
                job.post(lambda: self._import_at(share_done))

        def work(job: Job) -> None:
            last = [0.0]
            added = self.bundles.add(source, self._key(), lambda part: progress(job, last, part))
            job.post(lambda: done(added))

        def done(added: Installed) -> None:
            self.state.importing = None
            self.state.bundles = self.bundles.installed()
            if self.state.model.stage in ("none", "failed"):
                self.settings = self.settings.changed(bundle=added.digest)
                self.load_model()
            self.change()

        self._importing = self._file_worker.submit(work, self.fail)

    def _import_at(self, share_done: float) -> None:
        if self.state.importing is not None:
            self.state.importing.share = share_done
            if self.state.screen == "models":
                self.show()

    def cancel_import(self) -> None:
        if self._importing is not None:
            self._importing.cancel()
        self.state.importing = None
        self.show()

    def remove_bundle(self, bundle: Installed) -> None:
        """Delete an imported bundle; if it was in use, the first of the others takes over."""
        loaded = self.state.model.loaded
        in_use = loaded is not None and loaded.folder == bundle.folder
        try:
            self.bundles.remove(bundle)
        except UserError as error:
            self.fail(str(error))
            return
        self.state.bundles = self.bundles.installed()
        if in_use:
            self.load_model()
        self.show()

    def set_key(self, path: str) -> None:
        """Whose signature is required; the bundle in use is checked again."""
        self.settings = self.settings.changed(key=path)
        self.load_model()
        self.change()

    # --- a picture ------------------------------------------------------------------------------------------

    def open_picture(self, source: Path | Image.Image, title: str) -> None:
        """Read a picture and propose where its page lies; then the crop screen."""
        self._open(source, title, None)

    def resume_draft(self) -> None:
        """Go on with the picture that was open when the app was ended."""
        draft = self.draft.load()
        if draft is not None:
            path, title, corners = draft
            self._open(path, title, corners)

    def draft_title(self) -> str | None:
        return self._draft_title

    def _open(self, source: Path | Image.Image, title: str, corners: outline.Corners | None) -> None:
        self.cancel()
        if self._opening is not None:
            self._opening.cancel()
        self.state.opening, self.state.error = title, ""
        self.show()
        keep = not self.history.encrypted and corners is None

        def work(job: Job) -> None:
            picture = pictures.load(source) if isinstance(source, Path) else pictures.to_rgb(source)
            job.check()
            proposed = outline.propose(picture)
            if keep:
                with contextlib.suppress(UserError):  # a full storage keeps nobody from an answer
                    self.draft.save(picture, title, proposed)
            case = Case(picture, title, corners or proposed, proposed)
            self.prepare(picture)
            job.post(lambda: opened(case))

        def opened(case: Case) -> None:
            self.state.opening, self.state.case, self._draft_title = "", case, None
            self.state.back = ["home"]
            self._enter("crop")

        self._opening = self._file_worker.submit(work, self.fail)

    def cancel_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self.state.opening = ""
        self.show()

    def turn(self, quarters: int) -> None:
        """Turn the picture clockwise by quarters, corners and all."""
        case = self.state.case
        assert case is not None

        def work(job: Job) -> None:
            picture = turned(case.picture, quarters)
            proposed = outline.propose(picture)
            self.prepare(picture)
            job.post(lambda: done(picture, proposed))

        def done(picture: Image.Image, proposed: outline.Corners) -> None:
            case.picture, case.proposed, case.corners, case.quality = picture, proposed, proposed, None
            self.show()

        self._opening = self._file_worker.submit(work, self.fail)

    # --- an answer ------------------------------------------------------------------------------------------

    def read(self, anyway: bool = False) -> None:
        """Straighten and judge the page, then look and answer. anyway: although the photo is poor."""
        case = self.state.case
        assert case is not None
        case.error = ""

        def work(job: Job) -> None:
            page = straighten(case.picture, case.corners)
            quality = judge(page)
            self.prepare(page)
            job.post(lambda: judged(page, quality))

        def judged(page: Image.Image, quality: object) -> None:
            case.quality = quality  # type: ignore[assignment]
            if case.quality is not None and case.quality.problems and not anyway:
                self.show()
                return
            case.page = page
            case.turns, case.findings, case.first, case.entry = [], [], None, None
            case.not_ecg, case.anyway, case.stopped = "", False, False
            self.go("result")
            # The model's threads and the first drawing of a screen would be in each other's way.
            self.after_frame(lambda: start(page))

        def start(page: Image.Image) -> None:
            if self.state.case is case and case.page is page and not case.busy and self.state.screen == "result":
                self._converse(case, None)
                self.follow()

        def failed(message: str) -> None:
            case.error = message
            self.show()

        self._opening = self._file_worker.submit(work, failed)

    def follow_up(self, question: str) -> None:
        """The next turn of the conversation; blank text does nothing."""
        case = self.state.case
        if case is None or case.busy or not question.strip():
            return
        case.draft = ""
        self._converse(case, question.strip())
        self.follow()

    def ask_again(self) -> None:
        """The question that was stopped or failed, once more."""
        case = self.state.case
        if case is not None and not case.busy:
            self._converse(case, case.draft or None if case.turns else None)
            case.draft = ""
            self.follow()

    def answer_anyway(self) -> None:
        """The model does not take it for an ECG; the user does."""
        case = self.state.case
        if case is not None:
            case.anyway, case.not_ecg = True, ""
            self._converse(case, None)
            self.follow()

    def cancel(self) -> None:
        """Stop what the user waits for; the window is free at once, the thread at the model's next step."""
        if self._job is not None:
            self._job.cancel()
            self._job = None
        case = self.state.case
        if case is not None and case.busy:
            # The question goes back to where it was typed.
            case.draft = case.asked or "" if case.turns else ""
            case.stopped = not (case.turns and case.asked is None)
            if case.stage == "findings":
                case.findings = []  # a part of the list would look like the whole of it
            case.stage, case.asked, case.partial = "idle", None, ""
            if case.turns and case.entry is None:
                self._keep(case)  # its findings were cut off, its answer was not
            self.follow()
        if self.state.bench.runs is not None:
            self.state.bench.runs = None
            self.show()

    def _converse(self, case: Case, question: str | None) -> None:
        case.error, case.stopped, case.partial = "", False, ""
        case.asked = question or (self.state.model.loaded.question if self.state.model.loaded else "…")
        case.stage = "waiting"

        def stage(job: Job, name: str) -> None:
            job.post(lambda: self._at(case, name))

        def work(job: Job) -> None:
            reader = self.reader
            if reader.loaded is None:
                raise UserError(self.t("model.none"))
            if not case.turns or reader.page is None:
                stage(job, "looking")
                assert case.page is not None
                seen = reader.look(case.page, job)
                if not seen.looks_like_ecg and not case.anyway:
                    percent = round(100 * (seen.is_ecg or 0.0))
                    job.post(lambda: self._not_ecg(case, percent))
                    return
            loaded = reader.loaded
            stage(job, "answering")
            answer = reader.ask(question, job, lambda piece: job.post(lambda: self._write(case, piece)), anyway=True)
            job.post(lambda: self._answered(case, question or loaded.question, answer, loaded))
            if not case.findings:
                stage(job, "findings")
                reader.findings(job, lambda finding: job.post(lambda: self._found(case, finding)))
            job.post(lambda: self._ended(case))

        def failed(message: str) -> None:
            case.error, case.stage, case.asked, case.partial = message, "idle", None, ""
            self.follow()

        self._job = self._model_worker.submit(work, failed)

    def _at(self, case: Case, stage: str) -> None:
        case.stage = stage
        self.follow()

    def _write(self, case: Case, piece: str) -> None:
        case.partial += piece
        self.follow()

    def _not_ecg(self, case: Case, percent: int) -> None:
        case.not_ecg, case.stage, case.asked = self.t("result.not_ecg", percent=percent), "idle", None
        self.follow()

    def _answered(self, case: Case, question: str, answer: Answer, loaded: Loaded) -> None:
        case.turns = [*case.turns, Turn(question, answer.text)]
        case.asked, case.partial = None, ""
        if case.first is None:
            case.first, case.by = answer, loaded
        self.follow()

    def _found(self, case: Case, finding: Finding) -> None:
        case.findings = [*case.findings, finding]
        self.follow()

    def _ended(self, case: Case) -> None:
        case.stage, self._job = "idle", None
        self._keep(case)
        self.follow()

    # --- history --------------------------------------------------------------------------------------------

    def _keep(self, case: Case) -> None:
        """The case as an entry: for sharing at once, and in the history if one is kept."""
        assert case.first is not None
        assert case.by is not None
        timing = {key: round(value, 3) for key, value in vars(case.first.timing).items()}
        found = tuple((f.label, f.name, f.probability) for f in case.findings)
        by, old, why = case.by, case.entry, case.first.finish_reason
        entry = Entry(tuple(case.turns), found, by.name, by.target, by.digest, why, timing, case.title, case.created)
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

        self._file_worker.submit(work, self.fail)

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

        self._searching = self._file_worker.submit(work, self.fail)

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

        self._file_worker.submit(work, self.fail)

    def reopen(self) -> None:
        """A new conversation about an entry's page."""
        entry, page = self.state.shown, self.state.shown_page
        if entry is not None and page is not None:
            self.open_picture(page, entry.title)

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

        self._file_worker.submit(both, self.fail)

    # --- sharing and measuring ------------------------------------------------------------------------------

    def share(self, entry: Entry, suffix: str) -> None:
        """Save as .pdf or .png; shared(path) when it is there."""
        case, state = self.state.case, self.state
        page = state.shown_page if state.screen == "entry" else case.page if case is not None else None
        if page is None:
            return
        target, language = self.data / "shared" / share.file_name(entry, suffix), self.language

        def work(job: Job) -> None:
            share.save(entry, page, target, language)
            job.post(lambda: self.shared(target))

        self._file_worker.submit(work, self.fail)

    def shared(self, path: Path) -> None:
        """The file is written; a window tells, a phone opens its share sheet."""

    def benchmark(self, runs: int = benchmark.RUNS) -> None:
        """Measure with the first example; the JSON goes to reports/ in the data folder."""
        if self.state.model.stage != "ready":
            return
        self.cancel()
        self.state.case = None  # the model will have looked at another page
        self.state.bench = Bench(0, self.state.bench.result, self.state.bench.saved)
        self.show()
        self.frames(True)
        example = min(EXAMPLES.glob("*.jpg"))

        def step(done: int) -> None:
            if self.state.bench.runs is not None:
                self.state.bench.runs = done
                self.follow()

        def work(job: Job) -> None:
            page = pictures.load(example)
            figures = benchmark.measure(self.reader, page, job, lambda done: job.post(lambda: step(done)), runs)
            job.post(lambda: done(figures))

        def done(figures: dict) -> None:
            result = benchmark.report(self.reader, figures, self.frames(False), runs)
            path = self.data / "reports" / f"app-{time.strftime('%Y%m%d-%H%M%S')}.json"
            settings.write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
            self.state.bench = Bench(None, result, str(path))
            self.show()

        def failed(message: str) -> None:
            self.state.bench.runs = None
            self.fail(message)

        self._job = self._model_worker.submit(work, failed)

    def close(self) -> None:
        """Cancel everything and let the history finish what it writes."""
        self.cancel()
        for job in (self._opening, self._importing, self._searching):
            if job is not None:
                job.cancel()
        self._file_worker.close(5)
        self.history.close()


def _at_most(picture: Image.Image, longest: int) -> Image.Image:
    scale = longest / max(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
