"""Pages have the geometry of ECG paper: positions and heights are measured back from the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from pulse.ecg.paper.layouts import LAYOUTS
from pulse.ecg.paper.render import Style, render
from pulse.ecg.paper.variety import varied_page
from pulse.ecg.record import LEADS, Record

BARE = Style(minor=None, major=None, paper=(255, 255, 255), ink=(0, 0, 0), lead_names=False, separators=False)


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
    flat = render(Record(np.zeros((12, 1000), np.float32), 100.0), layout, style=BARE).image
    for lead in LEADS:
        assert (render(pulses(lead), layout, style=BARE).image != flat).any(), lead


def test_varied_pages_repeat_by_seed_and_differ_between_seeds() -> None:
    record = pulses("II")
    again = varied_page(record, 7).image
    np.testing.assert_array_equal(varied_page(record, 7).image, again)
    others = [varied_page(record, seed).image for seed in range(8, 12)]
    assert all(o.shape != again.shape or (o != again).any() for o in others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"layout": "4x3"}, "4x3"), ({"style": "plaid"}, "plaid"), ({"start_s": 11.0}, "past the end")],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(pulses("I"), **arguments)
