"""What is measured on the page, beside what a model says of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edge_runtime.ask import main
from edge_runtime.evidence import evidence
from edge_runtime.page.reading import read
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


@pytest.fixture(scope="module")
def found(drawn):
    return evidence(drawn)


def test_a_page_is_measured(drawn, found):
    assert found.measurements.rate_bpm == pytest.approx(84, abs=2)
    assert found.measurements.qrs_axis_deg == pytest.approx(-20, abs=15)
    assert found.as_text().startswith("measured: rate 84 /min, PR ")
    assert found.as_json()["signals"]["layout"] == "3x4+rhythm"
    assert found.as_json() == evidence(np.asarray(Image.open(drawn))).as_json()


def test_a_picture_without_a_page_says_why():
    found = evidence(Image.new("RGB", (600, 400), "white"))
    assert found.as_text() == "measured: nothing, no grid was found"
    assert found.as_json()["measurements"]["rate_bpm"] is None
    assert found.as_json()["signals"] is None


def test_the_grid_that_the_model_s_look_found_is_enough(drawn, found):
    picture = Image.open(drawn).convert("RGB")
    for times in (1.2, 2):  # from the smaller one the grid cannot be had as well, and is looked for again
        size = round(picture.width / times), round(picture.height / times)
        again = evidence(drawn, reading=read(picture.resize(size, Image.Resampling.BOX)))
        assert again.signals.layout == found.signals.layout
        assert again.measurements.rate_bpm == pytest.approx(found.measurements.rate_bpm, abs=0.5)
        assert again.measurements.qrs_ms == pytest.approx(found.measurements.qrs_ms, abs=8)


def test_samples_come_with_gaps_as_null(found):
    told = json.loads(json.dumps(found.as_json(samples=True), allow_nan=False))["signals"]
    assert set(told["mv"]) == set(told["confidence"])
    assert len(told["mv"]["V1"]) == round(told["seconds"] * told["samples_per_second"])
    assert told["mv"]["V1"].count(None) == np.isnan(found.signals.mv[6]).sum() > 0
    assert max(value for value in told["mv"]["II"] if value is not None) > 0.3
    assert "mv" not in found.as_json()["signals"]


def test_pulse_ask_answers_with_what_it_measures(tiny, drawn, capsys):
    asked = [str(tiny.folder), str(drawn), "--max-new-tokens", "2", "--threads", "1"]
    assert main([*asked, "--json", "--signals"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measurements"]["rate_bpm"] == pytest.approx(84, abs=2)
    assert told["text"].endswith(f"QRS axis {told['measurements']['qrs_axis_deg']} degrees.")
    assert len(told["signals"]["mv"]["II"]) == told["signals"]["seconds"] * 500
    assert told["timing"]["measure_ms"] > 0
    assert main([*asked, "--fhir"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert "76282-3" in json.dumps(out)  # LOINC: heart rate
    assert out["entry"][0]["resource"]["conclusion"].startswith(told["text"])


def test_pulse_ask_measures_for_a_report_and_on_request(tiny, page_file, capsys):
    few = ["--max-new-tokens", "2", "--threads", "1"]
    words = "easured: nothing, "
    for more, measured, in_text in (
        ([], True, True),
        (["--no-measure"], False, False),
        (["rhythm?"], False, False),
        (["rhythm?", "--measure"], True, False),
    ):
        asked = [str(tiny.folder), str(page_file), *more, *few]
        assert main([*asked, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert ("measurements" in told, words in told["text"]) == (measured, in_text)
        assert main(asked) == 0
        assert capsys.readouterr().out.count(words) == measured


@pytest.mark.parametrize("more", [["--signals"], ["--signals", "--json", "--no-measure"]])
def test_samples_without_a_place_for_them_are_wrong_use(tiny, page_file, capsys, more):
    assert main([str(tiny.folder), str(page_file), *more]) == 2
    assert "--signals are measured, and printed with --json" in capsys.readouterr().err
