"""Pages drawn anew from the signals of others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edge_runtime.bundle import Bundle, bundle_folder
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.digitize import of_photo
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.flatten import find_grid, flatten
from edge_runtime.page.redraw import redrawn
from edge_runtime.recording import Recording
from edge_runtime.session import Session
from pulse.ecg.paper.render import render
from pulse.ecg.record import Record
from tests.heartbeats import Heart, regular


@pytest.fixture(scope="module")
def record() -> Record:
    return Record(Heart(qrs_axis=-20.0, t_axis=70.0).record(regular(84)), 500.0)


def read(picture: Image.Image) -> Signals:
    grid = find_grid(picture)
    assert grid is not None
    found = of_photo(picture, flatten(picture, grid))
    assert found is not None
    return found


def known(signals: Signals) -> Recording:
    return Recording(signals.mv, FS)


@pytest.fixture(scope="module")
def six_rows(record: Record) -> Signals:
    return read(Image.fromarray(render(record, "6x2+rhythm", dpi=200).image))


def test_the_page_shows_the_signals_in_the_plain_layout(record: Record, six_rows: Signals) -> None:
    page = redrawn(known(six_rows))
    assert (page.mode, page.size) == ("RGB", (544, 384))
    again = read(page.resize((2176, 1536), Image.Resampling.BICUBIC))
    assert (again.layout, again.turns, again.mm_per_s, again.mm_per_mv) == ("3x4+rhythm", 0, 25.0, 10.0)
    for lead in LEADS:
        # A regular heart: the same beat wherever the lead's seconds were taken from.
        own, drawn = (np.nanpercentile(each.mv[LEADS.index(lead)], [1, 50, 99]) for each in (six_rows, again))
        np.testing.assert_allclose(drawn - drawn[1], own - own[1], atol=0.12)


def test_what_was_not_read_is_not_drawn(six_rows: Signals) -> None:
    mv = six_rows.mv.copy()
    mv[LEADS.index("V6")] = np.nan
    mv[LEADS.index("V5"), 200:260] = np.nan
    whole, part = (np.asarray(redrawn(known(each)).convert("L")) for each in (six_rows, replace(six_rows, mv=mv)))
    row = slice(206, 294)  # of III, aVF, V3, V6
    assert (whole[row, 430:528] < 120).sum() > 60
    assert (part[row, 430:528] < 120).sum() == 0
    assert (part[row, :400] == whole[row, :400]).all()


def test_a_rhythm_strip_that_was_not_read_whole_stays_short(record: Record) -> None:
    signals = read(Image.fromarray(render(record, "3x4", dpi=200).image))
    assert np.isfinite(signals.mv[LEADS.index("II")]).sum() < 3 * FS
    page = np.asarray(redrawn(known(signals)).convert("L"))
    strip = page[300:376, :]
    assert (strip[:, 40:150] < 120).sum() > 60
    assert (strip[:, 200:] < 120).sum() == 0


def test_a_page_that_the_model_refuses_is_drawn_anew_for_it(record: Record) -> None:
    bundle = Bundle.load(bundle_folder("pulse-nano"))
    session = Session.of(bundle, 1)
    score, says = session.scorer.score, [False, False, True]

    def said(*asked: object) -> object:
        found = score(*asked)  # type: ignore[arg-type]
        return replace(found, probability=float(says.pop(0))) if asked[1] == session.inference.is_ecg else found

    session.scorer.score = said  # type: ignore[method-assign,assignment]
    lying = Image.fromarray(render(record, dpi=150).image).transpose(Image.Transpose.ROTATE_90)
    page = session.look(lying, measure=True)
    assert (page.redrawn, page.turns, page.looks_like_ecg, says) == (True, 1, True, [])
    assert page.seen.size == (544, 384)
    assert page.evidence is not None
    assert page.evidence.measurements.rate_bpm == pytest.approx(84, abs=2)
    says[:] = [False, False, False]
    assert not session.look(lying).redrawn
