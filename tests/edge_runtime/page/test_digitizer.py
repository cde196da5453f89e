"""The digitizer against the records that pages were drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.digitize import named, of_photo
from edge_runtime.page.digitizer.sheet import PX_PER_MM
from edge_runtime.page.digitizer.signals import FS, Signals
from edge_runtime.page.digitizer.view import View
from edge_runtime.page.flatten import find_grid, flatten
from pulse.ecg.paper.render import STYLES, render
from pulse.ecg.photo.scene.shoot import shoot
from pulse.ecg.record import Record
from tests.heartbeats import Heart, regular

DPI = 200


def read(image: np.ndarray, **known: object) -> Signals:
    picture = Image.fromarray(image)
    grid = find_grid(picture)
    assert grid is not None
    found = of_photo(picture, flatten(picture, grid), **known)
    assert found is not None
    return found


def likeness(record: Record, signals: Signals, lead: str, shift: int = 30) -> float:
    """Correlation of a lead with the record's, at the best of a few shifts: a page does not say where time begins."""
    own = signals.mv[LEADS.index(lead)]
    at = np.flatnonzero(np.isfinite(own))
    seconds = np.arange(record.signal.shape[1]) / record.fs
    best = 0.0
    for by in range(-shift, shift + 1, 2):
        true = np.interp((at - by) / FS, seconds, record.lead(lead))
        best = max(best, float(np.corrcoef(own[at], true)[0, 1]))
    return best


@pytest.fixture(scope="module")
def record() -> Record:
    heart = Heart(qrs_axis=-20.0, t_axis=70.0)
    return Record(heart.record([*regular(75, 6.2), *regular(60, 10.0, 6.6)]), FS)


@pytest.mark.parametrize("layout", ["3x4+rhythm", "3x4-simultaneous", "4x3", "6x2-cabrera", "12x1"])
def test_leads_are_named_by_the_laws_of_the_limb_leads(record: Record, layout: str) -> None:
    signals = read(render(record, layout, dpi=DPI).image)
    assert (signals.layout, signals.turns, signals.read) == (layout, 0, LEADS)
    assert (signals.mm_per_s, signals.mm_per_mv) == (25.0, 10.0)
    assert (signals.speed_from, signals.gain_from) == ("mark", "mark")
    assert signals.remainder < 0.1
    assert min(likeness(record, signals, lead) for lead in LEADS) > 0.95
    assert (signals.confidence > 0.8).all()


def test_what_a_page_does_not_show_is_absent(record: Record) -> None:
    signals = read(render(record, "3x4+rhythm", dpi=DPI).image)
    seconds = np.isfinite(signals.mv).sum(1) / FS
    assert seconds[LEADS.index("II")] > 9.5
    assert all(2.2 < seconds[row] < 2.6 for row, lead in enumerate(LEADS) if lead != "II")
    begins = [
        float(np.flatnonzero(np.isfinite(signals.mv[LEADS.index(lead)]))[0]) / FS for lead in ("I", "aVL", "V3", "V5")
    ]
    assert begins == pytest.approx([0, 2.5, 5, 7.5], abs=0.15)


def test_amplitudes_are_the_records(record: Record) -> None:
    signals = read(render(record, "3x4+rhythm", dpi=DPI).image)
    assert np.nanmax(signals.mv[1]) - np.nanmin(signals.mv[1]) == pytest.approx(np.ptp(record.lead("II")), rel=0.1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_page_may_lie_any_way_up(record: Record, turns: int) -> None:
    signals = read(np.ascontiguousarray(np.rot90(render(record, "3x4+rhythm", dpi=DPI).image, turns)))
    assert (signals.layout, signals.turns) == ("3x4+rhythm", (4 - turns) % 4)
    assert likeness(record, signals, "V2") > 0.95


def test_marks_say_speed_and_gain(record: Record) -> None:
    page = render(record, "6x2", dpi=DPI, mm_per_s=50.0, mm_per_mv=20.0, paper_mm=(286.0, 210.0)).image
    signals = read(page)
    assert (signals.mm_per_s, signals.mm_per_mv, signals.speed_from, signals.gain_from) == (50.0, 20.0, "mark", "mark")
    assert np.nanmax(signals.mv[1]) - np.nanmin(signals.mv[1]) == pytest.approx(np.ptp(record.lead("II")), rel=0.1)


def test_a_page_without_marks_is_read_as_usual_and_says_so_unless_told(record: Record) -> None:
    page = render(record, "3x4+rhythm", dpi=DPI, style=replace(STYLES["red"], calibration="none")).image
    signals = read(page)
    assert (signals.layout, signals.mm_per_s, signals.speed_from, signals.gain_from) == (
        "3x4+rhythm",
        25.0,
        "assumed",
        "assumed",
    )
    told = read(page, mm_per_mv=5.0)
    assert (told.mm_per_mv, told.gain_from) == (5.0, "told")
    assert np.nanmax(told.mv) == pytest.approx(2 * np.nanmax(signals.mv), rel=1e-4)


def test_a_photograph_of_a_page_on_a_desk_is_read(record: Record) -> None:
    page = render(record, "3x4+rhythm", dpi=DPI)
    signals = read(shoot(page.image, page.px_per_mm, 5, (2400, 1800)).image)
    assert signals.layout == "3x4+rhythm"
    assert np.median([likeness(record, signals, lead) for lead in LEADS]) > 0.9


def test_leads_that_nothing_can_name_are_absent(record: Record) -> None:
    page = Image.fromarray(render(record, "2x6", dpi=DPI).image)
    grid = find_grid(page)
    assert grid is not None
    flat = flatten(page, grid)
    assert of_photo(page, flat) is None
    told = of_photo(page, flat, layout="2x6")
    assert told is not None
    assert told.read == LEADS


def test_paper_without_curves_has_no_signals() -> None:
    blank = Record(np.zeros((12, 5000), np.float32), FS)
    picture = Image.fromarray(render(blank, "3x4", dpi=DPI).image)
    grid = find_grid(picture)
    assert grid is not None
    assert of_photo(picture, flatten(picture, grid)) is None


@pytest.mark.parametrize(("turns", "beats"), [(0, False), (1, False), (1, True)])
def test_a_page_read_on_its_side_shows_heartbeats(record: Record, turns: int, beats: bool) -> None:
    """Twelve rows that obey the laws of the limb leads, with or without a heart in them."""
    slow = np.sin(2 * np.pi * np.arange(4000) / np.array([[900.0], [1500.0]]))
    one, two = (record.signal[:2, :4000] * 10 if beats else slow) * (PX_PER_MM if beats else 3 * PX_PER_MM)
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    rows = 120.0 * np.arange(1, 13)[:, None] * PX_PER_MM / 8
    chest = [two * by for by in (-1.0, -0.5, 0.3, 0.8, 1.1, 0.9)]
    columns = np.linspace(0, 3999, 2000)
    curves = rows - np.array([np.interp(columns, np.arange(4000), each) for each in (*limbs, *chest)])
    found = named([View(curves, rows[:, 0], (), 0.0, 2000.0, turns)])
    assert (found is None) == (turns == 1 and not beats)
