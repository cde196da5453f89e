"""What every action stands on: the state, the settings, the two workers, and what a window adds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from demo_app import settings
from demo_app.bundles import Bundles
from demo_app.drafts import Draft
from demo_app.history import History
from demo_app.outline import Corners, propose
from demo_app.reader import Reader
from demo_app.state import State
from demo_app.strings import languages, system_language, translate
from demo_app.worker import Job, Post, Worker
from edge_runtime.errors import UserError


class Core:
    """Subclasses are the app's verbs, by subject. post() must have callables run on the window's thread.

    propose: finds the page's corners in a picture.
    """

    def __init__(
        self,
        data: Path,
        built_in: Path | None,
        post: Post,
        language: str | None = None,
        propose: Callable[[Image.Image], Corners] = propose,
    ) -> None:
        self.data = data
        self.state = State()
        self._settings_file = data / "settings.json"
        self.settings = settings.load(self._settings_file)
        self._language, self._propose = language, propose
        self.history = History(data / "history.sqlite")
        self.bundles = Bundles(data / "bundles", built_in)
        self.draft = Draft(data)
        self.reader = Reader()
        self._model_worker, self._file_worker = Worker("model", post), Worker("files", post)
        # Another program hands the clipboard over, when it likes: nothing else may wait for it.
        self._clipboard_worker = Worker("clipboard", post)
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

    # --- what a window adds -----------------------------------------------------------------------------------------

    def show(self) -> None:
        """The screen must be built anew from the state."""

    def follow(self) -> None:
        """The case moved on: text, findings or stage."""

    def prepare(self, picture: Image.Image) -> None:
        """Called off the window's thread with each picture that will be shown: the place for slow resizing."""

    def clipboard_text(self) -> str:
        """What the clipboard holds in words."""
        return ""

    def after_frame(self, call: Callable[[], object]) -> None:
        """Call once what was shown last is on the screen."""
        call()

    def frames(self, start: bool) -> float:
        """Start measuring the gaps between frames; or stop, and the longest in milliseconds. 0 without a window."""
        return 0.0

    def shared(self, path: Path) -> None:
        """The file is written; a window tells, a phone opens its share sheet."""

    # --- language, settings, screens --------------------------------------------------------------------------------

    @property
    def language(self) -> str:
        chosen = self._language or self.settings.language
        # A language whose file is gone is the system's.
        return chosen if chosen in languages() else system_language()

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
        self.enter(screen)

    def enter(self, screen: str) -> None:
        self.state.screen, self.state.error = screen, ""
        self.show()

    def fail(self, message: str) -> None:
        """Say what went wrong, where the user is."""
        self.state.error, self.state.opening, self.state.importing = message, "", None
        self.show()

    def explain(self, what: str, why: str) -> str:
        """What did not work (error.* of the texts), in the user's language; below it why, as it was told."""
        return f"{self.t(f'error.{what}')}\n{why}"

    def failing(self, what: str) -> Callable[[str], None]:
        """What a job does with an error."""
        return lambda why: self.fail(self.explain(what, why))

    def cancel(self) -> None:
        """Stop what the user waits for: see Answers."""
