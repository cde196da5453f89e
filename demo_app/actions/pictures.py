"""From a file, a photo or the clipboard to a picture with a page proposed in it."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlparse

from PIL import Image, ImageGrab

from demo_app.actions.core import Core
from demo_app.crop import straighten, turned
from demo_app.fonts import letters
from demo_app.outline import Corners, quarters_up
from demo_app.state import Case, Pages
from demo_app.worker import Job
from edge_runtime import image as pictures
from edge_runtime import pages
from edge_runtime.errors import UserError
from edge_runtime.page.quality import Quality, judge

_AT_ONCE = 24  # pages drawn small, before more are asked for
_SMALL = 420  # pixels of their longer side


class Pictures(Core):
    """What is done with a picture before it is read."""

    def open_picture(self, source: Path | Image.Image, title: str) -> None:
        """Read it and propose where its page lies; then the crop screen. One of several pages is chosen first."""
        self.state.pages = None
        self._open(source, title, None)

    def choose_page(self, number: int) -> None:
        """Go on with one page of the file."""
        found = self.state.pages
        if found is not None:
            self._open(found.source, f"{found.title}, {number}/{found.count}", None, number)

    def more_pages(self) -> None:
        """Draw the next pages small."""
        found = self.state.pages
        if found is None:
            return
        found.drawing = True
        self.follow()

        def came(picture: Image.Image | None, last: bool) -> None:
            found.small.append(picture)
            found.drawing = not last
            self.follow()

        def work(job: Job) -> None:
            end = min(len(found.small) + _AT_ONCE, found.count)
            for number in range(len(found.small) + 1, end + 1):
                job.check()
                try:
                    picture = pages.thumbnail(found.source, number, _SMALL)
                except UserError:
                    picture = None  # the others may be whole; choosing it says why
                job.post(partial(came, picture, number == end))

        self._opening = self._file_worker.submit(work, self.failing("picture"))

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

    def _open(self, source: Path | Image.Image, title: str, corners: Corners | None, page: int | None = None) -> None:
        self.cancel()
        if self._opening is not None:
            self._opening.cancel()
        self.state.opening, self.state.error = title, ""
        self.show()
        keep = not self.history.encrypted and corners is None

        def work(job: Job) -> None:
            letters().pieces(title)  # a font that has not been looked for yet takes longer than a frame
            if isinstance(source, Path) and page is None and (count := pages.count(source)) > 1:
                job.post(lambda: several(Pages(source, title, count)))
                return
            picture = pictures.load(source, page) if isinstance(source, Path) else pictures.to_rgb(source)
            job.check()
            proposed = self._propose(picture)
            if keep:
                with contextlib.suppress(UserError):  # a full storage keeps nobody from an answer
                    self.draft.save(picture, title, proposed)
            case = Case(picture, title, corners or proposed, proposed)
            self.prepare(picture)
            job.post(lambda: opened(case))

        def several(found: Pages) -> None:
            self.state.opening, self.state.pages, self.state.back = "", found, ["home"]
            self.enter("pages")
            self.more_pages()

        def opened(case: Case) -> None:
            self.state.opening, self.state.case, self._draft_title = "", case, None
            self.state.back = ["home"] if page is None else ["home", "pages"]
            self.enter("crop")
            self._look_up(case)

        def failed(message: str) -> None:
            # The whole path says no more to the user than the name, and fills a phone's screen.
            why = message.replace(str(source), source.name) if isinstance(source, Path) else message
            self.fail(self.explain("picture", why))

        self._opening = self._file_worker.submit(work, failed)

    def _look_up(self, case: Case) -> None:
        """Whether the page lies turned (its rows and calibration marks tell) or is dark, behind the crop screen."""
        picture, corners = case.picture, case.corners

        def work(job: Job) -> None:
            quality = judge(straighten(picture, corners))
            lies = quarters_up(picture)
            job.post(lambda: found(lies, quality if "dark" in quality.problems else None))

        def found(lies: int, dark: Quality | None) -> None:
            if case.picture is picture and (lies or dark):
                case.lies = lies
                if case.corners == corners:
                    case.quality = case.quality or dark
                if self.state.screen == "crop" and self.state.case is case:
                    self.show()

        self._file_worker.submit(work, lambda message: None)  # a hint that cannot be had is none

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
            case.lies = 0
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
