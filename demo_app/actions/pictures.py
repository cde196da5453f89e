"""From a file, a photo or the clipboard to a picture with a page proposed in it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import unquote, urlparse

from PIL import Image, ImageGrab

from demo_app.actions.core import Core
from demo_app.crop import turned
from demo_app.outline import Corners
from demo_app.state import Case
from demo_app.worker import Job
from edge_runtime import image as pictures
from edge_runtime.errors import UserError


class Pictures(Core):
    """What is done with a picture before it is read."""

    def open_picture(self, source: Path | Image.Image, title: str) -> None:
        """Read a picture and propose where its page lies; then the crop screen."""
        self._open(source, title, None)

    def paste(self) -> None:
        """A picture on the clipboard, or the picture file whose path or file: address is there."""

        def work(job: Job) -> None:
            picture = _clipboard_picture()
            job.post(lambda: pasted(picture))

        def pasted(picture: Image.Image | None) -> None:
            if picture is not None:
                self.open_picture(picture, self.t("home.paste"))
            elif (path := _as_path(self.clipboard_text())) is not None:
                self.open_picture(path, path.stem)
            else:
                self.fail(self.t("error.clipboard"))

        self._clipboard_worker.submit(work, self.failing("picture"))

    def resume(self) -> None:
        """Back to the picture that is open."""
        case = self.state.case
        if case is not None:
            self.go("crop" if case.page is None else "result")

    def resume_draft(self) -> None:
        """Go on with the picture that was open when the app was ended."""
        draft = self.draft.load()
        if draft is not None:
            path, title, corners = draft
            self._open(path, title, corners)

    def draft_title(self) -> str | None:
        return self._draft_title

    def _open(self, source: Path | Image.Image, title: str, corners: Corners | None) -> None:
        self.cancel()
        if self._opening is not None:
            self._opening.cancel()
        self.state.opening, self.state.error = title, ""
        self.show()
        keep = not self.history.encrypted and corners is None

        def work(job: Job) -> None:
            picture = pictures.load(source) if isinstance(source, Path) else pictures.to_rgb(source)
            job.check()
            proposed = self._propose(picture)
            if keep:
                with contextlib.suppress(UserError):  # a full storage keeps nobody from an answer
                    self.draft.save(picture, title, proposed)
            case = Case(picture, title, corners or proposed, proposed)
            self.prepare(picture)
            job.post(lambda: opened(case))

        def opened(case: Case) -> None:
            self.state.opening, self.state.case, self._draft_title = "", case, None
            self.state.back = ["home"]
            self.enter("crop")

        def failed(message: str) -> None:
            # The whole path says no more to the user than the name, and fills a phone's screen.
            why = message.replace(str(source), source.name) if isinstance(source, Path) else message
            self.fail(self.explain("picture", why))

        self._opening = self._file_worker.submit(work, failed)

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
            proposed = self._propose(picture)
            self.prepare(picture)
            job.post(lambda: done(picture, proposed))

        def done(picture: Image.Image, proposed: Corners) -> None:
            case.picture, case.proposed, case.corners, case.quality = picture, proposed, proposed, None
            self.show()

        self._opening = self._file_worker.submit(work, self.failing("picture"))


def _clipboard_picture() -> Image.Image | None:
    try:
        found = ImageGrab.grabclipboard()
    # No picture, or on Linux neither xclip nor wl-paste to ask for one.
    except (NotImplementedError, OSError, ValueError):
        return None
    if isinstance(found, list):  # files, on Windows
        return pictures.load(Path(found[0])) if found else None
    return found


def _as_path(words: str) -> Path | None:
    """The file that the first line names: a path, or an address as file managers copy them."""
    line = next(iter(words.strip().splitlines()), "").strip()
    path = Path(unquote(urlparse(line).path) if line.startswith("file:") else line)
    try:
        return path if line and path.is_file() else None
    except OSError:  # too long for a path: it is somebody's letter
        return None
