"""Pages have the geometry of ECG paper: positions and heights are measured back from the pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_runtime.page.layouts import LAYOUTS
from pulse.ecg.paper.render import STYLES, Page, Style, render
from pulse.ecg.paper.variety import families, varied_page
from pulse.ecg.record import LEADS, Record

BARE = Style(minor=None, major=None, paper=(255, 255, 255), ink=(0, 0, 0), names="none", separators=False)


def pulses(lead: str, height_mv: float = 1.0) -> Record:
    """A flat record but for one lead, which jumps by height_mv for the second half of each second."""
    signal = np.zeros((12, 1000), np.float32)
    signal[LEADS.index(lead)] = height_mv * (np.arange(1000) % 100 >= 60)
    return Record(signal, 100.0)


@pytest.mark.parametrize("dpi", [50.8, 127.0])
def test_one_millivolt_is_ten_millimetres(dpi: float) -> None:
    page = render(pulses("V1"), "12x1", dpi=dpi, style=BARE)
    flat = render(pulses("V1", 0.0), "12x1", dpi=dpi, style=BARE)
    changed = np.flatnonzero((page.image != flat.image).any(axis=(1, 2)))
    assert (changed[-1] - changed[0]) / page.px_per_mm == pytest.approx(10.0, abs=1.0)


def test_one_second_is_twenty_five_millimetres() -> None:
    page = render(pulses("V1"), "12x1", style=BARE)
    flat = render(pulses("V1", 0.0), "12x1", style=BARE)
    changed = (page.image != flat.image).any(axis=2)
    top = np.flatnonzero(changed.any(axis=1))[0]
    starts = np.flatnonzero(np.diff(changed[top + 1].astype(int)) == 1)
    assert np.diff(starts) / page.px_per_mm == pytest.approx(25.0, abs=0.6)


def test_default_page_is_544_by_384_and_leads_share_the_time_axis() -> None:
    page = render(pulses("I"))
    assert page.image.shape == (384, 544, 3)
    assert page.image.dtype == np.uint8
    spans = {box.lead: (box.start_s, box.end_s) for box in page.boxes[:12]}
    assert spans["I"] == spans["II"] == (0.0, pytest.approx(2.5, abs=0.1))
    assert spans["V1"][0] == pytest.approx(spans["aVR"][1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_lead_is_drawn_in_every_layout(layout: str) -> None:
    """The simultaneous ones show less than three seconds, in which each pulse comes twice."""
    flat = render(Record(np.zeros((12, 1000), np.float32), 100.0), layout, style=BARE).image
    for lead in LEADS:
        assert (render(pulses(lead), layout, style=BARE).image != flat).any(), lead


def test_a_cabrera_page_turns_avr_over() -> None:
    record, upside_down = pulses("aVR"), pulses("aVR", -1.0)
    ordinary, cabrera = (
        [render(one, layout, style=BARE).image for one in (record, upside_down)] for layout in ("6x2", "6x2-cabrera")
    )
    flat = render(pulses("aVR", 0.0), "6x2-cabrera", style=BARE)
    (box,) = [box for box in flat.boxes if box.lead == "-aVR"]
    base = round(box.top + 0.55 * (box.bottom - box.top))
    above = [(image != flat.image).any(axis=2)[: base - 3].any() for image in cabrera]
    assert above == [False, True]
    assert not np.array_equal(ordinary[0], ordinary[1])


def test_columns_of_a_simultaneous_layout_show_the_same_seconds() -> None:
    boxes = render(pulses("I"), "3x4-simultaneous").boxes
    assert {(box.start_s, box.end_s) for box in boxes} == {(0.0, boxes[0].end_s)}
    assert len({box.left for box in boxes}) == 4


def test_the_free_top_has_no_trace_and_the_bare_one_no_grid() -> None:
    page = render(pulses("I"), top_mm=60, bare_mm=50).image
    rows = 50 * page.shape[0] // 192
    assert (page[: rows - 1] == page[0, 0]).all()
    assert not (page[rows + 2 : rows + 10] == page[0, 0]).all()
    assert (page[: 60 * page.shape[0] // 192] > 100).all()


def test_families_are_all_that_varied_pages_are_of() -> None:
    known = families()
    assert sum(one.share for one in known.values()) == pytest.approx(1)
    for name, one in known.items():
        for shares in (one.layouts, one.styles, one.names, one.calibration, one.scales):
            assert sum(shares.values()) == pytest.approx(1), name
        assert set(one.layouts) <= set(LAYOUTS)
        assert set(one.styles) <= set(STYLES)
        assert set(one.names) <= {"above", "below", "beside", "none"}


@pytest.mark.parametrize("family", families())
def test_pages_of_a_family_repeat_by_seed_and_say_nothing_of_the_record(family: str) -> None:
    """The words are drawn from the seed alone: other labels, a flat record, and not a letter differs."""
    record = pulses("II")
    flat = Record(np.zeros((12, 1000), np.float32), 100.0)
    labelled = replace(flat, scp_codes={"AFIB": 100.0}, sex="F", age=90, report="atrial fibrillation")
    for seed in range(6):
        page = varied_page(record, seed, family=family)
        np.testing.assert_array_equal(page.image, varied_page(record, seed, family=family).image)
        same = [varied_page(one, seed, family=family).image for one in (flat, labelled)]
        np.testing.assert_array_equal(same[0], same[1])


def test_another_gain_is_marked_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60 pages of portable machines some have another gain, and each of those has its calibration mark."""
    asked: list[dict] = []

    def keep(record: Record, layout: str, **look: Any) -> Page:
        asked.append(look)
        return render(record, layout, **look)

    monkeypatch.setattr("pulse.ecg.paper.variety.render", keep)
    for seed in range(60):
        varied_page(pulses("II"), seed, family="portable")
    other = [look for look in asked if (look["mm_per_s"], look["mm_per_mv"]) != (25, 10)]
    assert len(other) > 5
    for look in other:
        assert look["style"].calibration != "none"
        assert any(
            f"{look['mm_per_s']:.0f} mm/s   {look['mm_per_mv']:.0f} mm/mV" in text.words for text in look["texts"]
        )


def test_varied_pages_repeat_by_seed_and_differ_between_seeds() -> None:
    record = pulses("II")
    again = varied_page(record, 7).image
    np.testing.assert_array_equal(varied_page(record, 7).image, again)
    others = [varied_page(record, seed).image for seed in range(8, 12)]
    assert all(o.shape != again.shape or (o != again).any() for o in others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"layout": "5x5"}, "5x5"), ({"style": "plaid"}, "plaid"), ({"start_s": 11.0}, "past the end")],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(pulses("I"), **arguments)
