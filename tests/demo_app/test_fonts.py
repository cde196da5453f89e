"""Words in any script: which font draws what, in which order, and what is said where none does."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, features

if find_spec("kivy") is None:
    pytest.skip("kivy is not installed", allow_module_level=True)
builder = pytest.importorskip("fontTools.fontBuilder")

from fontTools.pens.ttGlyphPen import TTGlyphPen  # noqa: E402
from fontTools.ttLib import TTFont  # noqa: E402

from demo_app import bidi, pen  # noqa: E402
from demo_app.coverage import coverage  # noqa: E402
from demo_app.fonts import Letters, Piece, letters  # noqa: E402

OWN = [letters().first, letters().first.with_name("DejaVuSans.ttf")]


def made(path: Path, characters: str) -> Path:
    """A font whose letters are all black squares, as wide and high as its em."""
    font = builder.FontBuilder(1000, isTTF=True)
    names = [f"u{ord(c):X}" for c in characters]
    font.setupGlyphOrder([".notdef", *names])
    font.setupCharacterMap({ord(c): name for c, name in zip(characters, names, strict=True)})
    font.setupGlyf({name: _square() for name in (".notdef", *names)})
    font.setupHorizontalMetrics(dict.fromkeys((".notdef", *names), (1000, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    font.save(path)
    return path


def _square():
    drawn = TTGlyphPen(None)
    drawn.moveTo((0, -200))
    for corner in ((0, 800), (1000, 800), (1000, -200)):
        drawn.lineTo(corner)
    drawn.closePath()
    return drawn.glyph()


def letters_with(folder: Path, **fonts: str) -> Letters:
    for name, characters in fonts.items():
        made(folder / f"{name}.ttf", characters)
    return Letters(OWN, [folder])


@pytest.mark.parametrize("name", ["Roboto-Regular", "DejaVuSans", "RobotoMono-Regular"])
def test_a_fonts_characters_are_those_that_fonttools_finds(name):
    path = letters().first.with_name(f"{name}.ttf")
    font = TTFont(path)
    expected = {code for code, glyph in font.getBestCmap().items() if font.getGlyphID(glyph)}
    assert {ord(c) for c in coverage(path).known} == expected
    assert all(code in coverage(path) for code in (*expected,)[::7])
    assert 0x5FC3 not in coverage(path)


def test_code_points_beyond_16_bits_and_damaged_files(tmp_path):
    path = made(tmp_path / "a.ttf", "心图\U00020000\U0001f9e1")
    assert coverage(path).known == frozenset("心图\U00020000\U0001f9e1")
    raw = path.read_bytes()
    for k, cut in enumerate((b"", raw[:7], raw[:40], b"ttcf" + raw[4:], b"\xff" * 200)):
        broken = tmp_path / f"{k}.ttf"
        broken.write_bytes(cut)
        assert coverage(broken).known == frozenset()
    assert coverage(tmp_path / "gone.ttf").known == frozenset()


def test_each_part_gets_a_font_that_has_it(tmp_path):
    found = letters_with(tmp_path, Plain="心电", Bold="心电图", Other="ก")
    plain, bold, other = (tmp_path / f"{name}.ttf" for name in ("Plain", "Bold", "Other"))
    assert found.plain("ECG, Größe")
    assert not found.plain("ECG 心")
    assert found.pieces("ECG, Größe\nЭКГ") == [Piece("ECG, Größe\nЭКГ")]
    assert found.pieces("ECG 心电 2") == [Piece("ECG "), Piece("心电 ", plain), Piece("2")]
    assert found.pieces("图ก") == [Piece("图", bold), Piece("ก", other)]
    assert found.pieces("تخطيط") == [Piece("تخطيط", OWN[1])]  # Kivy brings DejaVu
    assert found.font_of("ECG 心电") == plain
    assert found.font_of("ECG") is None


def test_what_no_font_has_is_said_and_nothing_is_lost(tmp_path):
    found = letters_with(tmp_path, Plain="心")
    assert found.pieces("a心图图b") == [Piece("a"), Piece("心", tmp_path / "Plain.ttf"), Piece("‹U+56FE U+56FE›b")]
    assert found.pieces("\U0001fac0!") == [Piece("‹anatomical heart›"), Piece("!")]
    assert found.pieces("ＥＣＧ") == [Piece("ECG")]  # wide letters are the same letters
    # What reorders a name is shown, lest photo‮gpj.exe be taken for a picture; what only joins is not.
    assert found.pieces("a\u202egpj") == [Piece("a‹U+202E›gpj")]
    assert found.pieces("a\u200e\u200bb\ufeff") == [Piece("ab")]


LINES = [
    "معدل ضربات القلب 72 في الدقيقة",
    "ECG معدل 72 bpm",
    "القلب (سليم) 12.5 mV",
    "שלום (עולם) 1,200.5",
    "مرحبا: PR 160 ms، QRS 92 ms",
    "لا إله الأمراض",
    "a ب 1-2 c",
    "١٢٣ نبضة",
    "محمد_2026-11-29.pdf",
    "معدل 100%",
    "فلان ABC فلان",
]


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow without libraqm")
@pytest.mark.parametrize("line", LINES)
def test_lines_from_right_to_left_are_what_fribidi_and_harfbuzz_draw(line):
    """As Pillow draws the line with libraqm: the same ink in the same places, but for a pixel of spacing at times."""

    def ink(text, engine, **how):
        font = ImageFont.truetype(OWN[1], 40, layout_engine=engine)
        sheet = Image.new("L", (900, 80))
        ImageDraw.Draw(sheet).text((10, 10), text, 255, font, **how)
        return np.convolve(np.asarray(sheet, float).sum(axis=0), np.ones(15), "same")

    rtl = bidi.is_rtl(line)
    theirs = ink(line, ImageFont.Layout.RAQM, direction="rtl" if rtl else "ltr", features=["-kern"])
    ours = ink(bidi.visual(line, rtl), ImageFont.Layout.BASIC)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.965
    assert np.corrcoef(ink(line, ImageFont.Layout.BASIC), theirs)[0, 1] < 0.955


def test_numbers_keep_their_order():
    assert bidi.visual("معدل 72", True).startswith("72 ")
    assert bidi.visual("PR 160", False) == "PR 160"
    assert not bidi.is_needed("心电图 72")


def test_a_sheet_of_paper_has_the_letters(tmp_path, monkeypatch):
    monkeypatch.setattr(pen, "letters", lambda: found)
    found = letters_with(tmp_path, Plain="心")
    sheet = Image.new("RGB", (200, 60), "white")
    pen.write(sheet, (10, 10), "a心", (0, 0, 0), 30)
    assert pen.length("a心", 30) == pytest.approx(pen.length("a", 30) + 30)
    black = (np.asarray(sheet)[..., 0] == 0)[:, 30:54]
    assert black.all(axis=1).sum() >= 28  # the made letter is a square of 30 pixels
