"""Draw a Record as a page of ECG paper: 25 mm/s, 10 mm/mV, 1 mm and 5 mm grid (AHA/ACC/HRS 2007 recording standard).

Drawing is OpenCV polylines on a cached grid, so that training can draw each page anew instead of storing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.page.layouts import LAYOUTS, PLAIN
from pulse.ecg.paper.grid import grid
from pulse.ecg.paper.ink import blend, pulse, text, trace
from pulse.ecg.paper.text import Text
from pulse.ecg.record import Record

MM_PER_INCH = 25.4


@dataclass(frozen=True)
class Style:
    """Colours are RGB; lengths are millimetres on paper. `minor` or `major` None leaves that grid out.

    line_mm: width of the minor and the major lines. names: "above" the trace, "below" or "beside" it, or "none".
    calibration: the mark's side, "left", "right" or "none". font: one of OpenCV's Hershey fonts.
    """

    paper: tuple[int, int, int] = (255, 252, 250)
    minor: tuple[int, int, int] | None = (255, 222, 218)
    major: tuple[int, int, int] | None = (246, 170, 165)
    ink: tuple[int, int, int] = (20, 20, 25)
    trace_mm: float = 0.35
    text_mm: float = 3.5
    margin_mm: float = 8.0
    line_mm: tuple[float, float] = (0.1, 0.18)
    names: str = "above"
    calibration: str = "left"
    separators: bool = True
    font: int = cv2.FONT_HERSHEY_SIMPLEX


STYLES = {
    "red": Style(),
    "orange": Style(paper=(255, 251, 242), minor=(253, 226, 195), major=(242, 178, 120)),
    "green": Style(paper=(249, 255, 249), minor=(212, 240, 214), major=(140, 205, 150)),
    "blue": Style(paper=(249, 251, 255), minor=(214, 226, 246), major=(150, 180, 228)),
    "grey": Style(paper=(255, 255, 255), minor=(228, 228, 228), major=(186, 186, 186)),
    "dark": Style(paper=(246, 246, 242), minor=(178, 178, 176), major=(96, 96, 98), line_mm=(0.12, 0.3)),
    "pink": Style(paper=(255, 232, 240), minor=(252, 200, 216), major=(240, 140, 165)),
    "none": Style(paper=(255, 255, 255), minor=None, major=None),
}


@dataclass(frozen=True)
class LeadBox:
    """Where a lead stands on the page, in pixels, and the seconds of the record that it shows."""

    lead: str
    left: float
    top: float
    right: float
    bottom: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Page:
    """image: uint8 RGB [H, W, 3]; px_per_mm maps paper lengths to pixels."""

    image: np.ndarray
    px_per_mm: float
    layout: str
    boxes: tuple[LeadBox, ...]


def render(
    record: Record,
    layout: str = PLAIN,
    *,
    dpi: float = 50.8,
    paper_mm: tuple[float, float] = (272.0, 192.0),
    style: Style | str = "red",
    texts: Sequence[Text] = (),
    top_mm: float = 0.0,
    bottom_mm: float = 0.0,
    bare_mm: float = 0.0,
    mm_per_s: float = 25.0,
    mm_per_mv: float = 10.0,
    start_s: float = 0.0,
) -> Page:
    """Page of a record; the defaults give 544 x 384 pixels, two to the millimetre.

    paper_mm is (width, height). top_mm and bottom_mm stay free of traces, beyond the margin; the first bare_mm of the
    height have no grid. Columns share the time axis: with four columns of a ten-second record, the third shows seconds
    5 to 7.5, as cardiographs print it; those of a simultaneous layout all begin at start_s.

    Raises ValueError for an unknown layout or style, or when nothing of the record is left after start_s.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is not one of {', '.join(LAYOUTS)}")
    if isinstance(style, str):
        if style not in STYLES:
            raise ValueError(f"style {style!r} is not one of {', '.join(STYLES)}")
        style = STYLES[style]
    if record.seconds - start_s <= 0:
        raise ValueError(f"start_s {start_s} is past the end of a record of {record.seconds:.1f} s")
    plan, px = LAYOUTS[layout], dpi / MM_PER_INCH
    width, height = round(paper_mm[0] * px), round(paper_mm[1] * px)
    image = grid(width, height, px, style.paper, style.minor, style.major, style.line_mm).copy()
    image[: round(bare_mm * px)] = style.paper

    mask = np.zeros((height, width), np.uint8)
    boxes: list[LeadBox] = []
    marked = style.calibration != "none"
    mark_mm = 2.0 + 0.2 * mm_per_s
    left = style.margin_mm + (mark_mm if style.calibration == "left" else 0.0)
    right = style.margin_mm + (mark_mm if style.calibration == "right" else 0.0)
    top = style.margin_mm + top_mm
    shown_s = min(10.0, record.seconds - start_s, (paper_mm[0] - left - right) / mm_per_s)
    strips = [*plan.rows, *((name,) for name in plan.rhythm)]
    row_mm = (paper_mm[1] - style.margin_mm - bottom_mm - top) / len(strips)
    thickness = max(1, round(style.trace_mm * px))
    for r, names in enumerate(strips):
        base_mm = top + (r + 0.55) * row_mm
        if marked:
            mark = style.margin_mm if style.calibration == "left" else left + shown_s * mm_per_s + 0.4
            pulse(mask, mark, base_mm, mm_per_mv, mm_per_s, px, thickness)
        span = shown_s / len(names)
        for c, name in enumerate(names):
            first_s = start_s if plan.simultaneous else start_s + c * span
            box = LeadBox(
                name,
                (left + c * span * mm_per_s) * px,
                (top + r * row_mm) * px,
                (left + (c + 1) * span * mm_per_s) * px,
                (top + (r + 1) * row_mm) * px,
                first_s,
                first_s + span,
            )
            boxes.append(box)
            first, last = round(box.start_s * record.fs), round(box.end_s * record.fs)
            mv, step = record.lead(name)[first : last + 1], (box.right - box.left) / max(1, last - first)
            trace(mask, mv, box.left, step, base_mm * px, px * mm_per_mv, thickness)
            if style.separators and c:
                x = round(box.left)
                cv2.line(mask, (x, round((base_mm - 4) * px)), (x, round((base_mm + 4) * px)), 255, 1)
    if style.names != "none":
        down = {"above": 0.28 * row_mm, "below": 0.55 * row_mm + style.text_mm + 3, "beside": 0.55 * row_mm - 1}
        for box in boxes:
            text(mask, box.lead, box.left + px, box.top + down[style.names] * px, style.text_mm * px, style.font)
    for line in texts:
        text(mask, line.words, line.x_mm * px, line.y_mm * px, (line.size_mm or style.text_mm) * px, style.font)
    # A line thinner than a pixel is a pale line, as a scanner at this resolution would see it.
    blend(image, mask, style.ink, min(1.0, max(0.25, style.trace_mm * px)))
    return Page(image, px, layout, tuple(boxes))
