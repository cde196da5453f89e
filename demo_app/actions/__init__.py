"""What the app does, without a window: each action changes the state at once and leaves the work to a thread.

Two workers: `model` owns the bundle and the conversation; `files` reads pictures, imports bundles, writes the history.
Both hand their results to the window's thread, so the state is only ever changed there. A file of this folder for each
subject; here is what concerns them all.
"""

from __future__ import annotations

from demo_app.actions.answers import Answers
from demo_app.actions.measuring import Measuring
from demo_app.actions.models import Models
from demo_app.actions.pictures import Pictures


class Actions(Models, Pictures, Answers, Measuring):
    """The app's verbs. Subclasses put a window on them."""

    def go_place(self, place: str) -> None:
        """One of the four places: nothing to go back to. A reading that runs goes on, and is shown when one returns."""
        self.state.back.clear()
        case = self.state.case
        if place == "home" and case is not None and self.state.screen not in ("result", "crop", "home"):
            place = "result" if case.page is not None else "crop"
            self.state.back.append("home")
        if place == "history":
            self.search(self.state.search)
        self.enter(place)

    def go_back(self) -> bool:
        """Back to where we came from, else home; False on the home screen. A reading that is left is cancelled."""
        state = self.state
        if state.screen == "result" or (state.screen == "bench" and state.bench.runs is not None):
            self.cancel()
        if state.screen == "pages" and self._opening is not None:
            self._opening.cancel()
        if not state.back and state.screen == "home":
            return False
        self.enter(state.back.pop() if state.back else "home")
        return True

    def reopen(self) -> None:
        """A new conversation about an entry's page."""
        entry, page = self.state.shown, self.state.shown_page
        if entry is not None and page is not None:
            self.open_picture(page, entry.title)

    def close(self) -> None:
        """Cancel everything and let the history finish what it writes."""
        self.cancel()
        for job in (self._opening, self._importing, self._searching):
            if job is not None:
                job.cancel()
        self._file_worker.close(5)
        self.history.close()
