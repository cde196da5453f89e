"""A page is read, questions about it are answered, and all of it can be stopped."""

from __future__ import annotations

from PIL import Image

from demo_app.actions.entries import Entries
from demo_app.crop import straighten, turned
from demo_app.evidence import PageEvidence
from demo_app.history import Turn
from demo_app.reader import Loaded
from demo_app.similar import SHOWN
from demo_app.state import Case
from demo_app.worker import Job
from edge_runtime.answer import Answer
from edge_runtime.errors import UserError
from edge_runtime.findings import Finding
from edge_runtime.page.quality import Quality, judge
from edge_runtime.similar import Case as Similar


class Answers(Entries):
    """The conversation about a page; each whole answer is kept as an entry."""

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

        def judged(page: Image.Image, quality: Quality) -> None:
            case.quality = quality
            if quality.problems and not anyway:
                self.show()
                return
            case.page = page
            case.turns, case.findings, case.similar = [], [], []
            case.first, case.entry, case.evidence = None, None, None
            case.not_ecg, case.is_part, case.anyway, case.stopped = "", False, False, False
            self.go("result")
            # The model's threads and the first drawing of a screen would be in each other's way.
            self.after_frame(lambda: start(page))

        def start(page: Image.Image) -> None:
            if self.state.case is case and case.page is page and not case.busy and self.state.screen == "result":
                self._converse(case, None)
                self.follow()

        def failed(message: str) -> None:
            case.error = self.explain("answer", message)
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
                case.findings, case.similar = [], []  # a part of the list would look like the whole of it
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

        turns = len(case.turns)

        def stage(job: Job, name: str) -> None:
            job.post(lambda: self._at(case, name))

        def write(job: Job, piece: str) -> None:
            job.post(lambda: self._write(case, piece))

        def work(job: Job) -> None:
            reader = self.reader
            if reader.loaded is None:
                raise UserError(self.t("model.none"))
            if not turns or reader.page is None:
                stage(job, "looking")
                assert case.page is not None
                page = case.page
                seen = reader.look(page, job, turns)
                if seen.turns:
                    upright = turned(page, seen.turns)
                    self.prepare(upright)
                    job.post(lambda: self._turned(case, upright))
                if seen.evidence is not None:
                    measured = PageEvidence.of(seen.evidence, seen.turns)
                    job.post(lambda: self._measured(case, measured))
                if not seen.looks_like_ecg and not case.anyway:
                    percent = round(100 * (seen.is_ecg or 0.0))
                    job.post(lambda: self._not_ecg(case, percent))
                    return
                case.is_part = seen.looks_like_ecg and seen.is_part
            loaded = reader.loaded
            stage(job, "answering")
            answer = reader.ask(question, job, lambda piece: write(job, piece), turns, allow_non_ecg=True)
            job.post(lambda: self._answered(case, question or loaded.question, answer, loaded))
            if not case.findings:
                stage(job, "findings")
                reader.findings(job, lambda finding: job.post(lambda: self._found(case, finding)))
                similar = reader.similar(job, SHOWN)
                job.post(lambda: self._resembles(case, similar))
            job.post(lambda: self._ended(case))

        def failed(message: str) -> None:
            case.error, case.stage = self.explain("answer", message), "idle"
            case.asked, case.partial = None, ""
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

    def _turned(self, case: Case, page: Image.Image) -> None:
        case.page = page
        self.show()

    def _measured(self, case: Case, measured: PageEvidence) -> None:
        case.evidence = measured
        self.follow()

    def _answered(self, case: Case, question: str, answer: Answer, loaded: Loaded) -> None:
        case.turns = [*case.turns, Turn(question, answer.text, answer.left_out)]
        case.asked, case.partial = None, ""
        if case.first is None:
            case.first, case.by = answer, loaded
        self.follow()

    def _found(self, case: Case, finding: Finding) -> None:
        case.findings = [*case.findings, finding]
        self.follow()

    def _resembles(self, case: Case, similar: list[Similar]) -> None:
        case.similar = similar
        self.follow()

    def _ended(self, case: Case) -> None:
        case.stage, self._job = "idle", None
        self._keep(case)
        self.follow()
