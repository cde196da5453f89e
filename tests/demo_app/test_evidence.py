"""The table of what was measured, in the app's languages, and what is handed on with an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from demo_app import pen, share
from demo_app.evidence import UNITS, Measured, PageEvidence, notes, table
from demo_app.evidence_sheet import overlaid
from demo_app.history import Entry, Turn
from edge_runtime.evidence import Evidence, evidence
from edge_runtime.report.sheets import sheets
from edge_runtime.waves.intervals import Measurements

VALUES = {
    "rate_bpm": 49, "pr_ms": None, "qrs_ms": 111, "qt_ms": 400, "qtc_bazett_ms": 455, "qtc_fridericia_ms": 449,
    "p_axis_deg": None, "qrs_axis_deg": -31, "t_axis_deg": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(clean):
    return PageEvidence.of(evidence(clean))


def test_values_stand_beside_ranges_and_what_is_outside_is_said():
    lines = {line.key: line for line in table(Measured(VALUES), "en")}
    assert list(lines) == list(UNITS)
    assert (lines["rate_bpm"].value, lines["rate_bpm"].normal) == ("49 /min", "normal: 50 to 100 /min")
    assert lines["qtc_bazett_ms"].normal == "normal: men 391 to 449 ms, women 391 to 459 ms"
    assert lines["pr_ms"].value == "not found"
    assert (lines["qt_ms"].normal, lines["t_axis_deg"].value) == ("", "40°")
    assert {key: line.outside for key, line in lines.items() if line.outside} == {
        "rate_bpm": "below normal",
        "qrs_ms": "above normal",
        "qtc_bazett_ms": "above normal for men",
        "qrs_axis_deg": "left of normal",
    }
    assert {line.key: line.outside for line in table(Measured(VALUES), "de")}["rate_bpm"] == "unter normal"


def test_what_could_not_be_read_is_said():
    assert table(Measured.of(Evidence(None, Measurements(), "nothing, no grid was found")), "en") == []
    nothing = PageEvidence.of(evidence(Image.new("RGB", (600, 400), "white")))
    assert notes(nothing.measured, "en") == ["Nothing was measured: no grid was found in the picture."]
    assert (nothing.traces, nothing.files("a")) == ((), {})
    some = Measured(VALUES, unread=("V3", "V4"), assumed=("25 mm/s",))
    assert notes(some, "de") == [
        "Nicht gelesen: V3, V4.",
        "Angenommen, da keine Eichzacke gelesen wurde: 25 mm/s.",
    ]


def test_what_is_kept_comes_back(found):
    kept = found.measured.as_json()
    assert (
        Measured.from_json({**kept, "unread": list(kept["unread"]), "assumed": list(kept["assumed"])}) == found.measured
    )
    assert found.measured.values["rate_bpm"] == pytest.approx(64, abs=1)


def test_a_pdf_has_the_table_and_the_signals_lie_beside_it(found, clean, tmp_path):
    entry = Entry((Turn("?", "Sinus rhythm."),), (), "nano", "onnx", "ab" * 32, "stop", {}, "a", created=1.7e9)
    before = len(sheets(share.report(entry, clean, "en"), pen))
    measured = replace(entry, measured=found.measured.as_json())
    assert len(sheets(share.report(measured, clean, "en"), pen)) == before + 1
    share.save(measured, clean, tmp_path / "ecg-1.pdf", "en", found)
    assert {path.name for path in tmp_path.iterdir()} == {f"ecg-1.{end}" for end in ("pdf", "hea", "dat", "csv")}
    assert (tmp_path / "ecg-1.hea").read_text().startswith("ecg-1 12 500 ")
    share.save(measured, clean, tmp_path / "ecg-2.png", "en")
    assert len(list(tmp_path.glob("ecg-2.*"))) == 1


def test_curves_are_drawn_where_the_page_has_its_ink(found, clean):
    size = max(clean.size)
    drawn = np.asarray(overlaid(clean, found.traces, size), int)
    changed = np.abs(drawn - np.asarray(clean, int)).sum(2) > 120
    dark = np.asarray(clean.convert("L")) < 110
    near = np.max([np.roll(dark, (j, i), (0, 1)) for j in range(-3, 4) for i in range(-3, 4)], axis=0)
    assert changed.mean() > 0.005
    assert near[changed].mean() > 0.95
