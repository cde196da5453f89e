"""Pages as different as hospitals print them: one of the families, and within it layout, paper, pen, words. Seeded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TypeVar

import cv2
import numpy as np

from edge_runtime.page.layouts import PLAIN
from pulse.ecg.paper.families import FAMILIES
from pulse.ecg.paper.family import USUAL, Family, Range, Setting
from pulse.ecg.paper.render import STYLES, Page, Style, render
from pulse.ecg.record import Record

_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
_WHITE, _PALE = (255, 255, 255), ((236, 236, 236), (214, 214, 214))


@cache
def families() -> dict[str, Family]:
    """By name."""
    return dict(FAMILIES.all())


def drawn_page(
    record: Record, family: str | None, layout: str | None, seed: int | np.random.Generator, dpi: float = 50.8
) -> Page:
    """The plain page, or with a family one of its varied pages; layout None: the plain one, or one of the family's."""
    if family is None:
        return render(record, layout or PLAIN, dpi=dpi)
    return varied_page(record, seed, family=family, layout=layout, dpi=dpi)


def varied_page(
    record: Record,
    seed: int | np.random.Generator,
    *,
    family: str | None = None,
    layout: str | None = None,
    dpi: float = 50.8,
    pale: bool = False,
) -> Page:
    """A page with a random look (family and layout too unless given); the same seed draws the same page.

    dpi 50.8 gives pages about 544 pixels wide, whatever the paper's width. pale: white paper and hardly a grid, as
    photo.flattened takes it. Another speed or gain than 25 mm/s and 10 mm/mV is said on the page, and marked.
    """
    rng = np.random.default_rng(seed)
    known = families()
    kind = known[family or _one(rng, {name: one.share for name, one in known.items()})]
    layout = layout or _one(rng, kind.layouts)
    mm_per_s, mm_per_mv = _one(rng, kind.scales)
    width = _within(rng, kind.width_mm)
    height = width / _within(rng, kind.aspect)
    style = _style(rng, kind)
    if pale:
        style = replace(style, paper=_WHITE, minor=_PALE[0], major=_PALE[1])
    if (mm_per_s, mm_per_mv) != USUAL and style.calibration == "none":
        style = replace(style, calibration="left")
    top, bottom = height * _within(rng, kind.top), height * _within(rng, kind.bottom)
    setting = Setting(width, height, top, bottom, style.margin_mm, mm_per_s, mm_per_mv)
    return render(
        record,
        layout,
        # The student sees every page on one canvas, so paper of another size is a picture of another scale.
        dpi=dpi * 272.0 / width,
        paper_mm=(width, height),
        style=style,
        texts=kind.texts(rng, setting),
        top_mm=top,
        bottom_mm=bottom,
        bare_mm=top if rng.random() < kind.bare else 0.0,
        mm_per_s=mm_per_s,
        mm_per_mv=mm_per_mv,
        start_s=float(rng.uniform(0, max(0.0, record.seconds - 10.0))),
    )


def _style(rng: np.random.Generator, kind: Family) -> Style:
    base = STYLES[_one(rng, kind.styles)]
    fade = _within(rng, kind.fade)  # old or cheap paper: the grid fades towards the paper's colour
    ink = int(rng.integers(0, 70))
    tint = rng.integers(-12, 13, 3) if rng.random() < 0.3 else np.zeros(3, int)
    return replace(
        base,
        paper=_shifted(base.paper, -rng.integers(0, 14, 3)),
        minor=None if base.minor is None or rng.random() < kind.major_only else _mixed(base.minor, base.paper, fade),
        major=None if base.major is None else _mixed(base.major, base.paper, fade * 0.8),
        ink=_shifted((ink, ink, ink), tint),
        trace_mm=_within(rng, kind.trace_mm),
        text_mm=_within(rng, kind.text_mm),
        margin_mm=_within(rng, kind.margin_mm),
        names=_one(rng, kind.names),
        calibration=_one(rng, kind.calibration),
        separators=bool(rng.random() < kind.separators),
        font=_FONTS[int(rng.integers(len(_FONTS)))],
    )


_T = TypeVar("_T")


def _one(rng: np.random.Generator, shares: Mapping[_T, float]) -> _T:
    return list(shares)[int(rng.choice(len(shares), p=list(shares.values())))]


def _within(rng: np.random.Generator, limits: Range) -> float:
    return float(rng.uniform(*limits))


def _shifted(colour: tuple[int, int, int], by: np.ndarray) -> tuple[int, int, int]:
    r, g, b = (int(v) for v in np.clip(np.asarray(colour) + by, 0, 255))
    return r, g, b


def _mixed(colour: tuple[int, int, int], other: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    return _shifted((0, 0, 0), np.asarray(colour) * (1 - share) + np.asarray(other) * share)
