"""What is handed on: everything of the answer, nothing cut off."""

from __future__ import annotations

import numpy as np
import pypdfium2
import pytest
from PIL import Image

from demo_app import pen, share
from demo_app.history import Entry, Turn
from demo_app.strings import finding_worth
from edge_runtime.findings import Finding
from edge_runtime.report.sheets import sheets


def drawn(entry, page, language):
    return sheets(share.report(entry, page, language), pen)


@pytest.fixture
def entry():
    turns = (Turn("Write a report.", "Sinus rhythm. " * 12), Turn("Warum?", "Größe, Übermaß, Straße. " * 8))
    findings = tuple(Finding(f"L{i}", f"finding number {i}", i / 12) for i in range(12))
    return Entry(turns, findings, "nano", "onnx", "ab" * 32, "stop", {}, "Bett 7", created=1.7e9)


def test_pdf_has_every_sheet(entry, clean, tmp_path):
    shown = drawn(entry, clean, "en")
    share.save(entry, clean, tmp_path / "a.pdf", "en")
    document = pypdfium2.PdfDocument(tmp_path / "a.pdf")
    assert len(document) == len(shown) >= 1
    assert document[0].get_size() == pytest.approx((595, 842), abs=1)
    printed = np.asarray(document[0].render(scale=150 / 72).to_pil().convert("L"), float)
    truth = np.asarray(shown[0].convert("L").resize(printed.shape[::-1]), float)
    assert np.abs(printed - truth).mean() < 4


def test_png_is_the_sheets_one_below_the_other(entry, clean, tmp_path):
    share.save(entry, clean, tmp_path / "a.png", "de")
    assert Image.open(tmp_path / "a.png").size == (1240, 1754 * len(drawn(entry, clean, "de")))


def test_margins_stay_empty_and_long_answers_go_on(entry, clean):
    long = Entry(**{**vars(entry), "turns": (Turn("?", "word " * 3000), Turn("?", "x" * 2000))})
    shown = drawn(long, clean, "en")
    assert len(shown) > 3
    for sheet in shown:
        pixels = np.asarray(sheet.convert("L"))
        assert pixels[:, -60:].min() == 255
        assert pixels[:, :60].min() == 255
        assert pixels[-30:].min() == 255


def test_file_name_tells_the_time_and_no_name(entry):
    assert share.file_name(entry, ".pdf").startswith("ecg-2023111")
    assert "Bett" not in share.file_name(entry, ".pdf")


def test_letters_of_other_languages_are_drawn(entry, clean):
    def title(name):
        sheet = drawn(Entry(**{**vars(entry), "title": name}), clean, "en")[0]
        return np.asarray(sheet.crop((0, 0, 1240, 140)))

    unknown = title("\uffff")
    for letter in "äöüßéñøčЖΩ":
        assert (title(letter) != unknown).any(), letter


def test_a_measured_finding_says_what_naming_it_is_worth():
    measured = Finding("MI", "myocardial infarction", 0.5, 0.3, 0.71, 0.806)
    assert "71 %" in finding_worth("en", measured)
    assert "81 %" in finding_worth("de", measured)
    assert finding_worth("en", Finding("MI", "myocardial infarction", 0.5, 0.3, None, 0.8)) == ""
