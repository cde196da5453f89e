"""The app's verbs without a window: results are delivered by hand, as a window does between two frames."""

from __future__ import annotations

import io
import json
import queue
import threading
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.metrics.spread import figure
from demo_app.actions import Actions
from demo_app.benchmark import percentile
from demo_app.reader import Reader
from demo_app.similar import SHOWN
from demo_app.worker import Worker
from edge_runtime.engines import open_engine
from edge_runtime.measure import FIGURES
from edge_runtime.observation import Observation
from edge_runtime.session import Session


class App(Actions):
    """Actions with a mailbox that the test empties."""

    def __init__(self, data, bundle, **given):
        self.mail = queue.SimpleQueue()
        super().__init__(data, bundle, self.mail.put, "en", **given)

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.state
            try:
                self.mail.get(timeout=0.05)()
            except queue.Empty:
                continue


@pytest.fixture
def app(tmp_path, bundle):
    app = App(tmp_path / "data", bundle)
    app.load_model()
    yield app
    app.close()


def opened(app, picture):
    app.open_picture(picture, "a page")
    app.until(lambda: app.state.screen == "crop")
    return app.state.case


def answered(app, picture):
    case = opened(app, picture)
    app.read()
    app.until(lambda: case.entry is not None and not case.busy)
    return case


def test_answer_is_what_the_runtime_says_and_is_kept(app, bundle, clean):
    case = answered(app, clean)
    session = Session.open(bundle)
    page = session.look(clean, measure=True)
    answer = page.ask().finish()
    assert (case.turns[0].answer, case.turns[0].left_out) == (answer.text, answer.left_out)
    assert case.findings == page.findings()
    app.follow_up("What is the rhythm?")
    app.until(lambda: len(case.turns) == 2 and not case.busy)
    # The second turn goes on from the first one's keys and values.
    assert case.turns[1].answer == page.ask("What is the rhythm?").finish().text
    app.search("rhythm")
    app.until(lambda: app.state.entries)
    (entry,) = app.state.entries
    assert entry.turns == tuple(case.turns)
    assert len(entry.findings) == 12
    assert entry.digest == app.state.model.loaded.digest
    assert entry.measured["values"]["rate_bpm"] == answer.evidence.measurements.as_json()["rate_bpm"]
    assert case.evidence.traces
    assert case.similar == page.similar(SHOWN)
    assert entry.similar == tuple(case.similar)


def test_question_that_was_cancelled_leaves_the_conversation_where_it_was(app, bundle, clean):
    case = answered(app, clean)
    app.follow_up("What is the rhythm?")
    app.until(lambda: case.partial)
    app.cancel()
    assert (case.stage, case.asked, case.draft, len(case.turns)) == ("idle", None, "What is the rhythm?", 1)
    app.follow_up("What is the axis?")
    app.until(lambda: len(case.turns) == 2 and not case.busy)
    page = Session.open(bundle).look(clean, measure=True)
    page.ask().finish()
    assert case.turns[1].answer == page.ask("What is the axis?").finish().text


def test_nothing_of_a_cancelled_answer_arrives_any_more(app, clean):
    case = opened(app, clean)
    app.read()
    app.until(lambda: case.partial)
    app.cancel()
    while not app.mail.empty():
        app.mail.get()()
    assert (case.turns, case.partial, case.findings, case.stopped) == ([], "", [], True)
    app.ask_again()
    app.until(lambda: case.entry is not None and not case.busy)
    assert len(case.findings) == 12


def test_cancel_stops_the_thread_at_the_next_step(bundle, clean):
    posted = queue.SimpleQueue()
    worker, steps = Worker("model", posted.put), []
    started, cancelled = threading.Event(), threading.Event()

    def counting(bundle):
        engine = open_engine(bundle)
        decode = engine.decode

        def counted(embeds, cache):
            steps.append(len(embeds))
            started.set()
            assert cancelled.wait(30)
            return decode(embeds, cache)

        engine.decode = counted
        return engine

    reader = Reader(counting)

    def work(job):
        reader.load(bundle, None, job)
        reader.look(clean, job)
        reader.ask(None, job, lambda piece: None)

    job = worker.submit(work, posted.put)
    assert started.wait(30)
    job.cancel()
    cancelled.set()
    assert job.done.wait(30)
    # The step that was on its way when it was cancelled, and none after it.
    assert len(steps) == 1
    assert posted.empty()
    worker.close(5)


def test_an_answer_that_the_window_did_not_take_is_not_part_of_the_conversation(bundle, clean):
    """Cancelled after its last word: the reader has answered, the window counts one turn all the same."""
    worker, reader, failed, ended = Worker("model", lambda _: None), Reader(), [], []

    def work(job):
        reader.load(bundle, None, job)
        reader.look(clean, job)
        reader.ask(None, job, lambda piece: None)
        for question in ("What is the rhythm?", "What is the axis?"):
            reader.ask(question, job, lambda piece: None, turns=1)
        cache, lacking = reader.page.conversation
        ended.append((cache.length, lacking))

    assert worker.submit(work, failed.append).done.wait(60)
    worker.close(5)
    assert not failed
    page = Session.open(bundle).look(clean)
    page.ask().finish()
    page.ask("What is the axis?").finish()
    cache, lacking = page.conversation
    assert ended == [(cache.length, lacking)]


def test_picture_that_is_no_ecg_is_said_and_can_be_answered_anyway(app):
    case = opened(app, Image.fromarray(np.random.default_rng(3).integers(0, 255, (600, 800, 3), dtype=np.uint8)))
    app.read(anyway=True)
    app.until(lambda: case.not_ecg)
    assert case.turns == []
    assert "does not look like an ECG" in case.not_ecg
    app.answer_anyway()
    app.until(lambda: case.turns and not case.busy)
    assert case.findings
    assert case.similar == []  # nothing is like what is no ECG


def test_a_bundle_without_cases_has_none_to_show(bundle, clean, monkeypatch):
    monkeypatch.setattr("demo_app.reader.cases_of", lambda bundle: None)
    worker, reader, failed, found = Worker("model", lambda _: None), Reader(), [], []

    def work(job):
        reader.load(bundle, None, job)
        assert reader.look(clean, job).looks_like_ecg
        found.append(reader.similar(job, SHOWN))

    assert worker.submit(work, failed.append).done.wait(60)
    worker.close(5)
    assert (failed, found) == ([], [[]])


def test_page_that_was_turned_to_be_read_is_shown_and_kept_so(app, clean, monkeypatch):
    real = Session.look

    def look(self, picture, page=None, measure=False):
        seen = real(self, picture, page, measure)
        seen.turns = 1
        return seen

    monkeypatch.setattr(Session, "look", look)
    monkeypatch.setattr(Observation, "is_part", True)
    case = answered(app, clean)
    assert case.page.size == clean.size[::-1]
    app.until(app.history.entries)
    assert Image.open(io.BytesIO(app.history.page(case.entry.id))).size == clean.size[::-1]
    assert case.is_part


def test_a_dark_page_is_told_before_it_is_read(app, clean):
    case = opened(app, clean.point(lambda v: v * 0.2))
    app.until(lambda: case.quality is not None)
    assert (case.quality.problems, case.page, app.state.screen) == (["dark"], None, "crop")


def test_poor_photo_waits_for_a_second_thought(app, clean):
    case = opened(app, clean.point(lambda v: v * 0.15))
    app.read()
    app.until(lambda: case.quality is not None)
    assert case.quality.problems == ["dark"]
    assert app.state.screen == "crop"
    app.read(anyway=True)
    app.until(lambda: app.state.screen == "result")


def test_file_that_is_no_picture_is_one_line(app, tmp_path):
    (tmp_path / "letter.txt").write_text("dear doctor")
    app.open_picture(tmp_path / "letter.txt", "letter")
    app.until(lambda: app.state.error)
    assert "not a picture this program reads" in app.state.error
    assert app.state.screen == "home"


def test_fault_of_ours_is_a_sentence_too(tmp_path, clean, caplog):
    app = App(tmp_path / "data", None, propose=lambda picture: 1 / 0)
    app.open_picture(clean, "a page")
    app.until(lambda: app.state.error)
    assert "something went wrong (ZeroDivisionError" in app.state.error
    assert "Traceback" in caplog.text
    app.close()


def test_bundle_that_was_altered_is_not_loaded(tmp_path, bundle):
    import shutil

    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "tokenizer.json").write_text("{}")
    app = App(tmp_path / "data", copy)
    app.load_model()
    app.until(lambda: app.state.model.stage == "failed")
    assert "tokenizer.json" in app.state.model.error
    app.close()


def test_draft_survives_and_goes_with_its_answer(app, bundle, clean, tmp_path):
    case = opened(app, clean)
    second = App(tmp_path / "data", bundle)
    assert second.draft_title() == "a page"
    second.resume_draft()
    second.until(lambda: second.state.screen == "crop")
    assert second.state.case.picture.size == clean.size
    second.close()
    app.read()
    app.until(lambda: case.entry is not None and not case.busy)
    app._file_worker.close(10)
    assert app.draft.title() is None


def test_switched_off_history_keeps_nothing(app, clean):
    app.change(keep_history=False)
    case = answered(app, clean)
    assert case.entry is not None  # it can still be saved as a file
    assert app.history.entries() == []


def test_damaged_settings_are_the_defaults(tmp_path, bundle):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings.json").write_text('{"theme": "pink", "text_size": "huge", "accepted": true}')
    app = App(tmp_path / "data", bundle)
    assert (app.settings.theme, app.settings.text_size, app.settings.accepted) == ("system", 1.0, True)
    app.change(theme="dark")
    assert json.loads((tmp_path / "data" / "settings.json").read_text())["theme"] == "dark"
    app.close()


def test_benchmark_without_a_window(app):
    app.until(lambda: app.state.model.stage == "ready")
    app.benchmark(runs=3)
    app.until(lambda: app.state.bench.result)
    result = json.loads(next((app.data / "reports").iterdir()).read_text())
    assert result == json.loads(json.dumps(app.state.bench.result))
    assert result["runs"] == 3
    # As the reports summarise what edge_runtime.measure prints.
    for name in FIGURES:
        assert figure([result["measured"]["warm"][name]])["median"] == pytest.approx(
            result["figures"][name]["median"], abs=1e-3
        )
    assert {"benchmark", "environment", "bundle", "runs", "figures"} <= result.keys()


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (90, 9), (100, 10), (0, 1), (91, 10)])
def test_percentile_is_a_value_that_was_measured(percent, value):
    assert percentile(list(range(10, 0, -1)), percent) == value
