"""What was read, laid over the picture: the curves lie on its ink, and the marks on the beats."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge_runtime.evidence import Evidence, evidence
from edge_runtime.traces import traces
from edge_runtime.waves.intervals import Measurements
from pulse.ecg.paper.render import render
from pulse.ecg.record import Record
from tests.edge_runtime.page.sheets import seen
from tests.heartbeats import Heart, regular

LEADS = ["I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6", "II"]


@pytest.fixture(scope="module")
def page():
    drawn = render(Record(Heart(qrs_axis=-20.0, t_axis=70.0).record(regular(84)), 500.0), dpi=150)
    return Image.fromarray(drawn.image)


def photographed(page):
    """From the side, upside down."""
    wide, high = page.width + 300, page.height + 260
    return seen(page, [(wide - 60, high - 60), (110, high - 90), (60, 60), (wide - 90, 80)], (wide, high))


def on_ink(picture, points):
    """The share of points at most 2 pixels from something dark."""
    dark = np.asarray(picture.convert("L"), float)
    x, y = (points * picture.size - 0.5).round().astype(int).T
    near = [dark[np.clip(y + j, 0, dark.shape[0] - 1), np.clip(x + i, 0, dark.shape[1] - 1)]
            for j in range(-2, 3) for i in range(-2, 3)]  # fmt: skip
    return float((np.min(near, axis=0) < 110).mean())


@pytest.mark.parametrize("view", [lambda page: page, photographed], ids=["flat", "from the side, upside down"])
def test_curves_lie_on_the_ink_and_marks_on_the_beats(page, view):
    picture = view(page)
    found = traces(evidence(picture))
    assert [trace.lead for trace in found] == LEADS
    assert on_ink(picture, np.concatenate([line for trace in found for line in trace.lines])) > 0.97
    strip = found[-1]
    beats = [mark for mark in strip.marks if mark.kind == "QRS"]
    assert {"P", "QRS", "T"} == {mark.kind for mark in strip.marks}
    assert len(beats) >= 12  # 84 a minute, ten seconds
    heights = [np.ptp(mark.line[:, 1]) for mark in beats]
    assert min(heights) > 0.7 * max(heights)
    for trace in found:
        left, top, right, bottom = trace.box
        points = np.concatenate(trace.lines)
        assert (points >= [left - 0.01, top - 0.01]).all()
        assert (points <= [right + 0.01, bottom + 0.01]).all()


def test_traces_turn_with_their_picture(page):
    once = traces(evidence(page))[0]
    x, y = once.corners[0]
    assert once.turned(1).corners[0] == pytest.approx([1 - y, x])
    assert once.turned(2).marks[0].line == pytest.approx(1 - once.marks[0].line)
    back = once.turned(3).turned(1)
    assert np.concatenate(back.lines) == pytest.approx(np.concatenate(once.lines))


def test_nothing_read_is_nothing_shown():
    assert traces(Evidence(None, Measurements(), "nothing")) == ()
