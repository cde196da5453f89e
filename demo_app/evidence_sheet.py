"""A sheet of paper with what was measured: the table, its normal ranges, and the curves over the page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from demo_app import pen
from demo_app.evidence import Measured, notes, table
from demo_app.marks import CURVE, WAVES
from demo_app.strings import translate
from edge_runtime.traces import Trace

_LONGEST = 2144  # pixels of the picture: twice the sheet's width between its margins


def overlaid(page: Image.Image, shown: Sequence[Trace], longest: int = _LONGEST) -> Image.Image:
    """The page with the curves and, in their colours, the waves drawn over it."""
    scale = longest / max(page.size)
    size = (max(1, round(page.width * scale)), max(1, round(page.height * scale)))
    picture = page.resize(size, Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(picture)

    def line(points: np.ndarray, colour: str, width: int) -> None:
        canvas.line([tuple(point) for point in (points * size).tolist()], fill=colour, width=width, joint="curve")

    for trace in shown:
        for part in trace.lines:
            line(part, CURVE, 2)
        for mark in trace.marks:
            line(mark.line, WAVES[mark.kind], 4)
    return picture


def sheet(
    measured: Measured, shown: Sequence[Trace], page: Image.Image, language: str, size: tuple[int, int]
) -> Image.Image:
    """RGB, `size` pixels (A4 at 150 dots an inch)."""
    made = Image.new("RGB", size, "white")
    margin = round(0.068 * size[0])
    ink, muted, strong = (21, 32, 43), (86, 100, 115), (138, 42, 0)
    y = float(margin)

    def text(words: str, height: int, colour: pen.Colour, x: float = margin) -> None:
        while pen.length(words, height) > size[0] - margin - x and height > 12:
            height -= 1
        pen.write(made, (x, y), words, colour, height)

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
