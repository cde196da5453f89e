"""What is measured on the page, beside what a model says of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edge_runtime.ask import main
from edge_runtime.evidence import Evidence, evidence
from edge_runtime.waves.intervals import Measurements
from pulse.ecg.paper.render import render
from pulse.ecg.record import Record
from tests.heartbeats import Heart, regular


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    heart = Heart(qrs_axis=-20.0, t_axis=70.0)
    page = render(Record(heart.record(regular(84)), 500.0), dpi=150)
    path = tmp_path_factory.mktemp("evidence") / "page.png"
    Image.fromarray(page.image).save(path)
    return path


def test_a_page_is_measured(drawn):
    found = evidence(drawn)
    assert found.measurements.rate_bpm == pytest.approx(84, abs=2)
    assert found.measurements.qrs_axis_deg == pytest.approx(-20, abs=15)
    assert found.as_text().startswith("measured: rate 84 /min, PR ")
    assert found.as_json()["signals"]["layout"] == "3x4+rhythm"
    assert evidence(drawn.read_bytes()).as_json() == evidence(np.asarray(Image.open(drawn))).as_json()


def test_a_picture_without_a_page_says_why():
    found = evidence(Image.new("RGB", (600, 400), "white"))
    assert found.as_text() == "measured: nothing, no grid was found"
    assert found.as_json()["measurements"]["rate_bpm"] is None
    assert found.as_json()["signals"] is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Sinus rhythm. About 90 beats per minute.", "the model said 90 beats per minute; measured 72"),
        ("A rate of 130 bpm", "the model said 130 beats per minute; measured 72"),
        ("About 75 beats per minute.", ""),
        ("Sinus rhythm.", ""),
    ],
)
def test_a_rate_that_differs_is_said(text, said):
    assert Evidence(None, Measurements(rate_bpm=72.2)).differs(text) == said
    assert Evidence(None, Measurements()).differs(text) == ""


def test_pulse_ask_measures_on_request(tiny, drawn, capsys):
    asked = [str(tiny.folder), str(drawn), "--max-new-tokens", "2", "--threads", "1"]
    assert main([*asked, "--json"]) == 0
    assert "measurements" not in json.loads(capsys.readouterr().out)
    assert main([*asked, "--json", "--measure"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measurements"]["rate_bpm"] == pytest.approx(84, abs=2)
    assert main([*asked, "--measure"]) == 0
    assert "measured: rate 8" in capsys.readouterr().out
    assert main([*asked, "--fhir", "--measure"]) == 0
    assert "76282-3" in capsys.readouterr().out  # LOINC: heart rate
