"""Pages as different as hospitals print them: layout, paper, grid colour, pen, margins, header. Seeded."""

from __future__ import annotations

import numpy as np

from pulse.ecg.paper.layouts import LAYOUTS
from pulse.ecg.paper.render import STYLES, Page, Style, render
from pulse.ecg.record import Record

# ECGInstruct's pages are mostly 3x4; the other layouts keep the student from relying on where a lead stands.
LAYOUT_SHARE = {layout.name: layout.share for layout in LAYOUTS.values() if layout.share}
STYLE_SHARE = {"red": 0.46, "orange": 0.12, "green": 0.1, "blue": 0.08, "grey": 0.16, "none": 0.08}


def varied_page(
    record: Record, seed: int | np.random.Generator, *, layout: str | None = None, dpi: float = 50.8
) -> Page:
    """A page with a random look (layout too unless given); the same seed draws the same page.

    dpi 50.8 gives about 544 x 384 pixels. Speed and gain stay 25 mm/s and 10 mm/mV: they carry the diagnosis.
    """
    rng = np.random.default_rng(seed)
    if layout is None:
        layout = str(rng.choice(list(LAYOUT_SHARE), p=list(LAYOUT_SHARE.values())))
    style = _varied_style(rng)
    width = float(rng.uniform(266, 292))
    height = width / float(rng.uniform(1.28, 1.55))
    # The student sees every page on one canvas, so paper of another size is a picture of another scale.
    return render(
        record,
        layout,
        dpi=dpi * 272.0 / width,
        paper_mm=(width, height),
        style=style,
        header=_header(rng, record),
        start_s=float(rng.uniform(0, max(0.0, record.seconds - 10.0))),
    )


def _varied_style(rng: np.random.Generator) -> Style:
    base = STYLES[str(rng.choice(list(STYLE_SHARE), p=list(STYLE_SHARE.values())))]
    fade = float(rng.uniform(0, 0.7))  # old or cheap paper: the grid fades towards the paper's colour
    ink = int(rng.integers(0, 70))
    tint = rng.integers(-12, 13, 3) if rng.random() < 0.3 else np.zeros(3, int)
    return Style(
        paper=_shifted(base.paper, -rng.integers(0, 14, 3)),
        minor=None if base.minor is None or rng.random() < 0.15 else _mixed(base.minor, base.paper, fade),
        major=None if base.major is None else _mixed(base.major, base.paper, fade * 0.8),
        ink=_shifted((ink, ink, ink), tint),
        trace_mm=float(rng.uniform(0.2, 0.7)),
        text_mm=float(rng.uniform(2.4, 4.2)),
        margin_mm=float(rng.uniform(2, 9)),
        lead_names=bool(rng.random() < 0.97),
        calibration=bool(rng.random() < 0.75),
        separators=bool(rng.random() < 0.6),
    )


def _shifted(colour: tuple[int, int, int], by: np.ndarray) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in np.clip(np.asarray(colour) + by, 0, 255))
    return r, g, b


def _mixed(colour: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    return _shifted((0, 0, 0), np.asarray(colour) * (1 - share) + np.asarray(other) * share)


def _header(rng: np.random.Generator, record: Record) -> tuple[str, ...]:
    """Invented header lines: the student must not learn that a header tells the diagnosis, so it tells none."""
    if rng.random() < 0.25:
        return ()
    lines = [
        f"ID: {rng.integers(10**6, 10**8)}   {rng.integers(1990, 2027)}-{rng.integers(1, 13):02d}",
        f"{'Male' if rng.random() < 0.5 else 'Female'}  {rng.integers(18, 95)} yr   {rng.integers(140, 200)} cm",
        "25 mm/s   10 mm/mV   0.05-40 Hz",
    ]
    keep = int(rng.integers(1, len(lines) + 1))
    return tuple(lines[k] for k in sorted(rng.choice(len(lines), keep, replace=False)))


assert set(STYLE_SHARE) == set(STYLES)
