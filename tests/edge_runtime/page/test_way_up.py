"""Pages that lie turned are read upright, as the laws of their limb leads tell which way up that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle import Bundle, bundle_folder
from edge_runtime.session import Session
from pulse.ecg.paper.render import render
from pulse.ecg.record import Record
from tests.heartbeats import Heart, regular

TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}


@pytest.fixture(scope="module")
def upright() -> Image.Image:
    heart = Heart(qrs_axis=-20.0, t_axis=70.0)
    return Image.fromarray(render(Record(heart.record(regular(84)), 500.0), dpi=150).image)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session.of(Bundle.load(bundle_folder("pulse-nano")), 1)


def probabilities(session: Session, picture: Image.Image) -> np.ndarray:
    return np.array([finding.probability for finding in session.look(picture).findings()])


def accepting(session: Session, says: list[bool]) -> Session:
    """A session whose model takes one picture after the other for an ECG page or not."""

    class Says:
        def score(self, *asked: object) -> object:
            return replace(scorer.score(*asked), probability=float(says.pop(0)))

    scorer, other = session.scorer, Session(session.engine, session.inference, session.tokenizer)
    other.scorer = Says()  # type: ignore[assignment]
    return other


@pytest.mark.parametrize("left", [1, 2, 3])
@pytest.mark.parametrize("measure", [False, True])
def test_a_turned_page_is_read_upright(session: Session, upright: Image.Image, left: int, measure: bool) -> None:
    lying = upright.transpose(TURNS[left])
    # On its side no student takes a page for one; upside down any does.
    page = accepting(session, [left == 2, True]).look(lying, measure=measure)
    assert (page.turns, page.looks_like_ecg) == (left, True)
    np.testing.assert_array_equal(np.asarray(page.seen), np.asarray(upright))
    if measure:
        assert page.evidence is not None
        assert page.evidence.measurements.rate_bpm == pytest.approx(84, abs=2)


def test_an_upright_page_stays_so(session: Session, upright: Image.Image) -> None:
    assert session.look(upright).turns == 0


def test_answers_do_not_depend_on_which_way_up_a_page_lies(session: Session, upright: Image.Image) -> None:
    found = probabilities(session, upright)
    np.testing.assert_allclose(probabilities(session, upright.transpose(TURNS[2])), found, atol=1e-5)


def test_what_is_no_page_when_turned_either_is_refused_as_it_came(session: Session, upright: Image.Image) -> None:
    lying = upright.transpose(TURNS[1])
    page = accepting(session, [False, False, False]).look(lying)  # as it lies, turned, drawn anew
    assert (page.turns, page.looks_like_ecg) == (0, False)


def test_leads_read_across_a_page_that_the_model_takes_are_not_believed(session: Session, upright: Image.Image) -> None:
    page = accepting(session, [True]).look(upright.transpose(TURNS[1]), measure=True)
    assert page.turns == 0
    assert page.evidence is not None
    assert page.evidence.signals is None
    assert page.evidence.as_text() == "measured: nothing, the leads could not be told"


def test_without_the_page_reader_a_page_stays_as_it_lies(upright: Image.Image) -> None:
    session = Session.of(Bundle.load(bundle_folder("pulse-nano")), 1, flatten=False)
    assert session.look(upright.transpose(TURNS[2])).turns == 0


def test_pulse_ask_says_that_it_turned_a_page(
    upright: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from edge_runtime.ask import main

    upright.transpose(TURNS[2]).save(tmp_path / "page.png")
    assert main(["pulse-nano", str(tmp_path / "page.png"), "--allow-non-ecg", "--max-new-tokens", "4"]) == 0
    assert "it was read 180 degrees further to the right" in capsys.readouterr().err


def nameless(signal: np.ndarray) -> Image.Image:
    """A page of twelve curves that no law of limb leads ties together."""
    return Image.fromarray(render(Record(signal.astype(np.float32), 500.0), "3x4", dpi=150).image)


def test_paper_whose_curves_show_no_heartbeats_is_no_ecg(session: Session) -> None:
    seconds, draw = np.arange(5000) / 500, np.random.default_rng(0)
    slow = [sum(np.sin(2 * np.pi * (f * seconds + draw.random())) for f in (0.3, 0.7, 1.1)) / 4 for _ in range(12)]
    page = accepting(session, [True]).look(nameless(np.array(slow)))
    assert (page.looks_like_ecg, page.is_ecg, page.problem) == (False, 0.0, "beats")
    assert (
        page.ask()
        .finish()
        .text.endswith("Its curves show no heartbeats; the papers of other machines may look like an ECG's.")
    )


def test_heartbeats_that_no_layout_explains_are_an_ecg(session: Session) -> None:
    hearts = [Heart(qrs_axis=axis, t_axis=60.0).record(regular(70 + axis / 5))[1] for axis in range(-30, 90, 10)]
    page = accepting(session, [True]).look(nameless(np.array([each[:5000] for each in hearts])), measure=True)
    assert page.evidence is not None
    assert page.evidence.signals is None
    assert page.looks_like_ecg
