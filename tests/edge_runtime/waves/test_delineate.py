"""Waves are found where they are, at any rate, in whole leads and in parts."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.waves.delineate import delineate
from tests.heartbeats import Heart, regular

HEART, BEATS = Heart(), regular(70)
II = 1


def of(waves, kind):
    return [wave for wave in waves if wave.kind == kind]


@pytest.mark.parametrize("fs", [100.0, 250.0, 360.0, 500.0, 1000.0])
def test_each_beat_has_its_waves_where_they_are(fs: float) -> None:
    waves = delineate(HEART.record(BEATS, fs), fs)[II]
    inner = BEATS[1:-1]
    for kind, begin, end, within in (
        ("P", -HEART.pr, -HEART.pr + HEART.p, 0.03),
        ("QRS", 0, HEART.qrs, 0.02),
        ("T", HEART.qt - HEART.t, HEART.qt, 0.05),
    ):
        found = of(waves, kind)
        assert len(inner) <= len(found) <= len(BEATS)
        for at in inner:
            (wave,) = [w for w in found if abs(w.peak - at - (begin + end) / 2) < 0.06]
            assert wave.onset == pytest.approx(at + begin, abs=within)
            assert wave.offset == pytest.approx(at + end, abs=within)
            assert wave.onset < wave.peak < wave.offset
            assert 0.5 < wave.confidence <= 1


def test_a_printed_lead_is_marked_where_it_is_and_nowhere_else() -> None:
    mv = HEART.record(BEATS)
    mv[:, :2500], mv[:, 3750:] = np.nan, np.nan
    waves = delineate(mv, 500.0)[II]
    assert all(wave.onset >= 5.0 and wave.offset <= 7.5 for wave in waves)
    assert len(of(waves, "QRS")) == sum(at > 5 and at + HEART.qrs < 7.5 for at in BEATS)


def test_leads_with_nothing_have_no_waves() -> None:
    mv = HEART.record(BEATS)
    mv[3], mv[4] = np.nan, 0
    marks = delineate(mv, 500.0)
    assert marks[3] == ()
    assert delineate(np.zeros((12, 5000), np.float32), 500.0) == ((),) * 12
    assert delineate(np.full((12, 5000), np.nan, np.float32), 500.0) == ((),) * 12


def test_other_leads_help_one_that_is_drowned() -> None:
    mv = HEART.record(BEATS)
    rng = np.random.default_rng(0)
    mv[II] += rng.normal(0, 0.3, 5000).astype(np.float32)
    together = of(delineate(mv, 500.0)[II], "P")
    alone = of(delineate(mv[II : II + 1], 500.0)[0], "P")
    assert len(together) > len(alone)


@pytest.mark.parametrize(
    ("shape", "fs", "words"), [((5000,), 500.0, "shape"), ((12, 1), 500.0, "shape"), ((12, 500), 50.0, "50 samples")]
)
def test_what_cannot_be_read_is_refused(shape, fs: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        delineate(np.zeros(shape, np.float32), fs)
