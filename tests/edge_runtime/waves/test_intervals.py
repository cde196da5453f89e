"""What is measured is what was put in; what cannot be had is absent."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_runtime.errors import UserError
from edge_runtime.waves.intervals import LEADS, Measurements, measure
from pulse.ecg import record
from tests.heartbeats import Heart, irregular, regular

COLUMNS = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))


def printed(mv: np.ndarray, strip: int | None) -> np.ndarray:
    """As a 3x4 page shows ten seconds, with or without a rhythm strip."""
    page, quarter = np.full_like(mv, np.nan), mv.shape[1] // 4
    for column, leads in enumerate(COLUMNS):
        part = slice(column * quarter, (column + 1) * quarter)
        page[leads, part] = mv[leads, part]
    if strip is not None:
        page[strip] = mv[strip]
    return page


def shown(mv: np.ndarray, how: str) -> np.ndarray:
    return mv if how == "whole" else printed(mv, 1 if how == "strip" else None)


def test_leads_are_named_as_records_name_them() -> None:
    assert LEADS == record.LEADS


@pytest.mark.parametrize("how", ["whole", "strip", "columns"])
@pytest.mark.parametrize(
    ("heart", "rate"), [(Heart(), 75), (Heart(pr=0.22, qt=0.44, qrs_axis=-40, t_axis=10), 58), (Heart(qt=0.32), 110)]
)
def test_what_was_put_in_is_measured(heart: Heart, rate: float, how: str) -> None:
    found = measure(shown(heart.record(regular(rate)), how), 500.0)
    assert found.rate_bpm == pytest.approx(rate, abs=1)
    assert found.rr_cv is None or found.rr_cv < 0.02
    assert found.pr_ms == pytest.approx(1000 * heart.pr, abs=25)
    assert found.qrs_ms == pytest.approx(1000 * heart.qrs, abs=20)
    assert found.qt_ms == pytest.approx(1000 * heart.qt, abs=40)
    assert found.p_axis_deg == pytest.approx(50, abs=10)
    assert found.qrs_axis_deg == pytest.approx(heart.qrs_axis, abs=10)
    assert found.t_axis_deg == pytest.approx(heart.t_axis, abs=15)
    assert all(abs(level) < 0.08 for level in found.st_mv.values())
    assert set(found.st_mv) == set(LEADS)


@pytest.mark.parametrize("axis", [-150, -90, -30, 0, 30, 90, 120, 170])
def test_the_axis_is_told_all_around(axis: float) -> None:
    found = measure(Heart(qrs_axis=axis).record(regular(70)), 500.0).qrs_axis_deg
    assert found is not None
    assert abs((found - axis + 180) % 360 - 180) < 8


def test_one_limb_lead_alone_has_no_axis() -> None:
    mv = np.full((12, 5000), np.nan, np.float32)
    mv[1] = Heart().record(regular(70))[1]
    found = measure(mv, 500.0)
    assert found.rate_bpm == pytest.approx(70, abs=1)
    assert found.qrs_axis_deg is None
    assert set(found.st_mv) == {"II"}


def test_a_raised_st_segment_is_seen_in_its_place() -> None:
    found = measure(Heart(st=0.2).record(regular(65)), 500.0)
    assert np.median(list(found.st_mv.values())) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("how", ["whole", "strip"])
@pytest.mark.parametrize("seed", range(3))
def test_fibrillation_has_no_pr(seed: int, how: str) -> None:
    rng = np.random.default_rng(seed)
    mv = Heart(p=0, qt=0.34).record(irregular(seed))
    time = np.arange(5000) / 500
    f = 0.06 * np.sin(2 * np.pi * np.cumsum(rng.uniform(5, 7, 5000)) / 500 + 6 * time**0.5)
    found = measure(shown(mv + f.astype(np.float32), how), 500.0)
    assert found.pr_ms is None
    assert found.p_axis_deg is None
    assert found.rr_cv > 0.1
    assert found.rate_bpm == pytest.approx(60 / np.diff(irregular(seed)).mean(), abs=4)


@pytest.mark.parametrize("fs", [100.0, 500.0])
@pytest.mark.parametrize("kind", ["white", "same", "brown", "mains", "flat", "absent"])
def test_what_is_no_ecg_has_nothing(kind: str, fs: float) -> None:
    rng, size = np.random.default_rng(7), int(10 * fs)
    mv = {
        "white": rng.normal(0, 0.2, (12, size)),
        "same": rng.normal(0, 0.2, (1, size)).repeat(12, 0),
        "brown": 0.02 * rng.normal(0, 1, (12, size)).cumsum(1),
        "mains": 0.3 * np.sin(2 * np.pi * 45 * np.arange(size) / fs)[None].repeat(12, 0),
        "flat": np.zeros((12, size)),
        "absent": np.full((12, size), np.nan),
    }[kind].astype(np.float32)
    assert measure(mv, fs) == Measurements()


def test_seconds_without_a_lead_are_no_long_interval() -> None:
    mv = Heart().record(regular(75))
    mv[:, 2000:3000] = np.nan
    found = measure(mv, 500.0)
    assert found.rate_bpm == pytest.approx(75, abs=1)
    assert found.rr_cv < 0.02


def test_corrected_by_name() -> None:
    found = Measurements(rate_bpm=90, qt_ms=400)
    assert found.qtc_bazett_ms == pytest.approx(400 / (60 / 90) ** 0.5)
    assert found.qtc_fridericia_ms == pytest.approx(400 / (60 / 90) ** (1 / 3))
    assert Measurements(qt_ms=400).qtc_bazett_ms is None
    assert Measurements(rate_bpm=90).qtc_fridericia_ms is None


def test_json_has_every_key() -> None:
    keys = {"rate_bpm", "rr_cv", "pr_ms", "qrs_ms", "qt_ms", "qtc_bazett_ms", "qtc_fridericia_ms", "p_axis_deg",
            "qrs_axis_deg", "t_axis_deg", "st_mv"}  # fmt: skip
    nothing = json.loads(json.dumps(Measurements().as_json()))
    assert nothing == {key: {} if key == "st_mv" else None for key in keys}
    whole = json.loads(json.dumps(measure(Heart().record(regular(75)), 500.0).as_json()))
    assert whole.keys() == keys
    assert isinstance(whole["qtc_bazett_ms"], int)
    assert set(whole["st_mv"]) == set(LEADS)


def test_eleven_leads_are_refused() -> None:
    with pytest.raises(UserError, match="12"):
        measure(np.zeros((11, 5000), np.float32), 500.0)
