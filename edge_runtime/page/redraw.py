"""A page drawn from signals: those that were read of another page, without its light, folds, cut edges and layout, or
those of a digital recording.

Students learn from drawn pages. A photograph that one takes for no ECG, though its leads are known, it reads on such a
page as it does the page that was photographed (docs/accuracy.md, "Drawn anew").
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge_runtime.leads import LEADS
from edge_runtime.page.layouts import LAYOUTS, PLAIN
from edge_runtime.recording import Recording

PX_PER_MM = 2
_FINER = 4  # the drawing's pixels in one of the page
_MM = PX_PER_MM * _FINER
_PAPER, _MINOR, _MAJOR, _INK = (255, 252, 250), (255, 222, 218), (246, 170, 165), (20, 20, 25)
_WIDE, _HIGH, _MARGIN, _MARK = 272, 192, 8, 7  # mm
_MM_PER_S, _MM_PER_MV, _SECONDS = 25, 10, 10.0
_TRACE, _LETTERS = 3, 40  # of the drawing's pixels


def redrawn(recording: Recording) -> Image.Image:
    """RGB page of 544 x 384 pixels in the plain layout, 25 mm/s and 10 mm/mV: each lead's seconds that are known,
    as near as may be to those that the layout shows, and nothing where nothing is known."""
    page = Image.new("RGB", (_WIDE * _MM, _HIGH * _MM), _PAPER)
    pen = ImageDraw.Draw(page)
    for step, colour, width in ((1, _MINOR, 1), (5, _MAJOR, 2)):
        for at in range(0, _WIDE * _MM, step * _MM):
            pen.line([(at, 0), (at, page.height)], colour, width)
        for at in range(0, _HIGH * _MM, step * _MM):
            pen.line([(0, at), (page.width, at)], colour, width)
    plan, font = LAYOUTS[PLAIN], ImageFont.load_default(_LETTERS)
    strips = [*plan.rows, *((name,) for name in plan.rhythm)]
    row_mm = (_HIGH - 2 * _MARGIN) / len(strips)
    for row, names in enumerate(strips):
        base = (_MARGIN + (row + 0.55) * row_mm) * _MM
        _mark(pen, base)
        span = _SECONDS / len(names)
        for column, name in enumerate(names):
            left = (_MARGIN + _MARK + column * span * _MM_PER_S) * _MM
            part = _part(recording.mv[LEADS.index(name)], recording.fs, column * span, span)
            _trace(pen, part, recording.fs, left, base)
            if column:
                pen.line([(left, base - 4 * _MM), (left, base + 4 * _MM)], _INK, _FINER)
            pen.text((left + _MM, base - 0.27 * row_mm * _MM), name, _INK, font, anchor="ls")
    return page.resize((_WIDE * PX_PER_MM, _HIGH * PX_PER_MM), Image.Resampling.BOX)


def _part(mv: np.ndarray, fs: float, start_s: float, seconds: float) -> np.ndarray:
    """So many seconds of a lead [n], from start_s on or as near as they are known."""
    known, length = np.flatnonzero(np.isfinite(mv)), round(seconds * fs)
    if len(known) == 0:
        return mv[:0]
    last = max(known[0], known[-1] + 1 - length)
    begin = int(np.clip(round(start_s * fs), known[0], last))
    return mv[begin : min(begin + length, known[-1] + 1)]


def _mark(pen: ImageDraw.ImageDraw, base: float) -> None:
    """1 mV for 200 ms."""
    across = np.array([0, 0.8, 0.8, 5.8, 5.8, 6.6]) + _MARGIN
    up = np.array([0, 0, _MM_PER_MV, _MM_PER_MV, 0, 0])
    pen.line([*zip((across * _MM).tolist(), (base - up * _MM).tolist(), strict=True)], _INK, _TRACE)


def _trace(pen: ImageDraw.ImageDraw, mv: np.ndarray, fs: float, left: float, base: float) -> None:
    known = np.flatnonzero(np.isfinite(mv))
    if len(known) == 0:
        return
    x = left + np.arange(len(mv)) * _MM_PER_S * _MM / fs
    y = np.clip(base - (mv - np.nanmedian(mv)) * _MM_PER_MV * _MM, 0, _HIGH * _MM)
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        pen.line([*zip(x[part].tolist(), y[part].tolist(), strict=True)], _INK, _TRACE, joint="curve")
