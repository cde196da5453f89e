"""Draw a Record as a page of ECG paper: 25 mm/s, 10 mm/mV, 1 mm and 5 mm grid (AHA/ACC/HRS 2007 recording standard).

Drawing is OpenCV polylines on a cached grid, so that training can draw each page anew instead of storing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from pulse.ecg.paper.layouts import LAYOUTS
from pulse.ecg.record import Record

MM_PER_INCH = 25.4
_SHIFT = 4  # OpenCV takes points in 1/16 pixel: without it fine traces turn to stairs


@dataclass(frozen=True)
class Style:
    """Colours are RGB; lengths are millimetres on paper. `minor` or `major` None leaves that grid out."""

    paper: tuple[int, int, int] = (255, 252, 250)
    minor: tuple[int, int, int] | None = (255, 222, 218)
    major: tuple[int, int, int] | None = (246, 170, 165)
    ink: tuple[int, int, int] = (20, 20, 25)
    trace_mm: float = 0.35
    text_mm: float = 3.5
    margin_mm: float = 8.0
    lead_names: bool = True
    calibration: bool = True
    separators: bool = True


STYLES = {
    "red": Style(),
    "orange": Style(paper=(255, 251, 242), minor=(253, 226, 195), major=(242, 178, 120)),
    "green": Style(paper=(249, 255, 249), minor=(212, 240, 214), major=(140, 205, 150)),
    "blue": Style(paper=(249, 251, 255), minor=(214, 226, 246), major=(150, 180, 228)),
    "grey": Style(paper=(255, 255, 255), minor=(228, 228, 228), major=(186, 186, 186)),
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
    layout: str = "3x4+rhythm",
    *,
    dpi: float = 50.8,
    paper_mm: tuple[float, float] = (272.0, 192.0),
    style: Style | str = "red",
    header: tuple[str, ...] = (),
    mm_per_s: float = 25.0,
    mm_per_mv: float = 10.0,
    start_s: float = 0.0,
) -> Page:
    """Page of a record; the defaults give 544 x 384 pixels, two to the millimetre.

    paper_mm is (width, height); header lines stand at the top. Columns share the time axis: with four columns of a
    ten-second record, the third shows seconds 5 to 7.5, as cardiographs print it.

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
    image = _grid(width, height, px, style.paper, style.minor, style.major).copy()

    mask = np.zeros((height, width), np.uint8)
    boxes: list[LeadBox] = []
    left = style.margin_mm + (7.0 if style.calibration else 0.0)
    top = style.margin_mm + len(header) * style.text_mm * 1.5
    usable_mm = paper_mm[0] - left - style.margin_mm
    shown_s = min(10.0, record.seconds - start_s, usable_mm / mm_per_s)
    strips = [*plan.rows, *((name,) for name in plan.rhythm)]
    row_mm = (paper_mm[1] - style.margin_mm - top) / len(strips)
    thickness = max(1, round(style.trace_mm * px))
    for r, names in enumerate(strips):
        base_mm = top + (r + 0.55) * row_mm
        if style.calibration:
            _pulse(mask, style.margin_mm, base_mm, mm_per_mv, px, thickness)
        span = shown_s / len(names)
        for c, name in enumerate(names):
            box = LeadBox(
                name,
                (left + c * span * mm_per_s) * px,
                (top + r * row_mm) * px,
                (left + (c + 1) * span * mm_per_s) * px,
                (top + (r + 1) * row_mm) * px,
                start_s + c * span,
                start_s + (c + 1) * span,
            )
            boxes.append(box)
            _trace(mask, record, box, base_mm * px, px * mm_per_mv, thickness)
            if style.separators and c:
                x = round(box.left)
                cv2.line(mask, (x, round((base_mm - 4) * px)), (x, round((base_mm + 4) * px)), 255, 1)
    if style.lead_names:
        for box in boxes:
            _text(mask, box.lead, box.left + px, box.top + 0.28 * row_mm * px, style.text_mm * px)
    for k, line in enumerate(header):
        _text(
            mask,
            line,
            style.margin_mm * px,
            (style.margin_mm * 0.6 + (k + 1) * style.text_mm * 1.5) * px,
            style.text_mm * px,
        )
    # A line thinner than a pixel is a pale line, as a scanner at this resolution would see it.
    _blend(image, mask, style.ink, min(1.0, max(0.25, style.trace_mm * px)))
    return Page(image, px, layout, tuple(boxes))


_Colour = tuple[int, int, int]


@lru_cache(maxsize=8)
def _grid(
    width: int, height: int, px: float, paper: _Colour, minor: _Colour | None, major: _Colour | None
) -> np.ndarray:
    """Empty paper, uint8 [height, width, 3]; cached because many pages share one grid."""
    layers = []
    for colour, step_mm, line_mm in ((minor, 1.0, 0.1), (major, 5.0, 0.18)):
        if colour is not None:
            line = max(line_mm * px, 0.35)
            bare = 1 - _line_cover(height, step_mm * px, line), 1 - _line_cover(width, step_mm * px, line)
            layers.append((colour, 1 - np.outer(*bare)))
    channels = []
    for c in range(3):  # one channel at a time: numpy is slow on rows of three
        channel = np.full((height, width), paper[c], np.float32)
        for colour, cover in layers:
            channel += (colour[c] - channel) * cover
        channels.append(channel)
    return (cv2.merge(channels) + 0.5).astype(np.uint8)


def _line_cover(length: int, step: float, width: float) -> np.ndarray:
    """Share of each pixel [length] that periodic lines of `width` pixels cover: exact area sampling, so no moire."""
    edges = np.arange(length + 1, dtype=np.float64) + 0.5 * width
    covered = np.floor(edges / step) * width + np.minimum(edges % step, width)
    return np.clip(np.diff(covered), 0, 1).astype(np.float32)


def _trace(mask: np.ndarray, record: Record, box: LeadBox, base: float, px_per_mv: float, thickness: int) -> None:
    first, last = round(box.start_s * record.fs), round(box.end_s * record.fs)
    mv = record.lead(box.lead)[first : last + 1]
    # The isoelectric line is not 0 mV in every recording: centre the strip on its median.
    y = base - (mv - np.median(mv)) * px_per_mv
    x = box.left + np.arange(len(mv)) * ((box.right - box.left) / max(1, last - first))
    points = np.stack([x, np.clip(y, 0, mask.shape[0] - 1)], axis=1)
    cv2.polylines(mask, [np.round(points * (1 << _SHIFT)).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, _SHIFT)


def _pulse(mask: np.ndarray, left_mm: float, base_mm: float, mm_per_mv: float, px: float, thickness: int) -> None:
    """The calibration mark: 1 mV high, 5 mm wide."""
    up = base_mm - mm_per_mv
    corners = [(0, base_mm), (0.8, base_mm), (0.8, up), (5.8, up), (5.8, base_mm), (6.6, base_mm)]
    points = np.array([((left_mm + dx) * px, y * px) for dx, y in corners])
    cv2.polylines(mask, [np.round(points * (1 << _SHIFT)).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, _SHIFT)


def _text(mask: np.ndarray, text: str, x: float, y: float, height_px: float) -> None:
    scale = height_px / 22  # a capital of Hershey Simplex is 22 pixels high at scale 1
    plain = text.encode("ascii", "replace").decode()  # Hershey fonts hold ASCII alone
    cv2.putText(
        mask,
        plain,
        (round(x), round(y)),
        cv2.FONT_HERSHEY_SIMPLEX,
        scale,
        255,
        max(1, round(height_px / 12)),
        cv2.LINE_AA,
    )


def _blend(image: np.ndarray, mask: np.ndarray, ink: tuple[int, int, int], opacity: float) -> None:
    """Lay ink over the paper where the mask is set, in place; only the touched pixels are computed."""
    hit = np.flatnonzero(mask)
    flat = image.reshape(-1, 3)
    under = flat[hit].astype(np.float32)
    share = mask.reshape(-1)[hit].astype(np.float32)[:, None] * (opacity / 255)
    flat[hit] = (under + (np.asarray(ink, np.float32) - under) * share + 0.5).astype(np.uint8)
