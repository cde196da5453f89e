"""A sheet of paper with what was measured: the table, its normal ranges, and the curves over the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo_app.evidence import Measured, notes, table
from demo_app.marks import CURVE, WAVES
from demo_app.strings import translate
from edge_runtime.traces import Trace

_LONGEST = 2144  # pixels of the picture: twice the sheet's width between its margins
Font = Callable[[float], ImageFont.FreeTypeFont]


def overlaid(page: Image.Image, shown: Sequence[Trace], longest: int = _LONGEST) -> Image.Image:
    """The page with the curves and, in their colours, the waves drawn over it."""
    scale = longest / max(page.size)
    size = (max(1, round(page.width * scale)), max(1, round(page.height * scale)))
    picture = page.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)

    def line(points: np.ndarray, colour: str, width: int) -> None:
        pen.line([tuple(point) for point in (points * size).tolist()], fill=colour, width=width, joint="curve")

    for trace in shown:
        for part in trace.lines:
            line(part, CURVE, 2)
        for mark in trace.marks:
            line(mark.line, WAVES[mark.kind], 4)
    return picture


def sheet(
    measured: Measured, shown: Sequence[Trace], page: Image.Image, language: str, font: Font, size: tuple[int, int]
) -> Image.Image:
    """RGB, `size` pixels (A4 at 150 dots an inch)."""
    made = Image.new("RGB", size, "white")
    pen, margin = ImageDraw.Draw(made), round(0.068 * size[0])
    ink, muted, strong = "#15202B", "#566473", "#8A2A00"
    y = float(margin)

    def text(words: str, height: float, colour: str, x: float = margin, fits: bool = True) -> None:
        letters = font(height)
        while fits and letters.getlength(words) > size[0] - margin - x and height > 12:
            height -= 1
            letters = font(height)
        pen.text((x, y), words, colour, letters)

    text(translate(language, "measured.title"), 34, ink)
    y += 52
    text(translate(language, "measured.hint"), 20, muted)
    y += 44
    for one in table(measured, language):
        text(one.name, 22, ink)
        text(one.value, 22, strong if one.outside else ink, margin + 300)
        text(" · ".join(part for part in (one.outside, one.normal) if part), 18, muted, margin + 450)
        y += 36
    for note in notes(measured, language):
        text(note, 20, ink)
        y += 34
    y += 8
    text(translate(language, "measured.source"), 16, muted)
    y += 40
    if shown:
        picture = overlaid(page, shown)
        scale = min((size[0] - 2 * margin) / picture.width, (size[1] - margin - y - 60) / picture.height)
        small = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
        made.paste(small, (margin, round(y)))
        y += small.height + 10
        text(translate(language, "measured.traces"), 18, muted)
    return made
