"""What was measured on a page, as the app keeps and shows it: a table with normal ranges, and curves to lay over it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from demo_app.strings import translate
from edge_runtime.evidence import Evidence
from edge_runtime.leads import LEADS
from edge_runtime.page.digitizer.signals import FS
from edge_runtime.signal_files import signal_files
from edge_runtime.traces import Trace, traces
from edge_runtime.waves.normal import NORMAL, Normal, judge

# In the table's order: keys of Measurements, with their units.
UNITS = {
    "rate_bpm": "/min",
    "pr_ms": "ms",
    "qrs_ms": "ms",
    "qt_ms": "ms",
    "qtc_bazett_ms": "ms",
    "qtc_fridericia_ms": "ms",
    "p_axis_deg": "°",
    "qrs_axis_deg": "°",
    "t_axis_deg": "°",
}


@dataclass(frozen=True)
class Measured:
    """What is kept of it. values: by UNITS' keys, None where one could not be had. problem: why there are none, "grid",
    "leads", "beats", or "". unread: leads of which nothing was read. assumed: scales that no mark told."""

    values: dict[str, float | None]
    problem: str = ""
    unread: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Evidence) -> Measured:
        values = found.measurements.as_json()
        signals = found.signals
        if signals is None:
            return cls(dict.fromkeys(UNITS), "grid" if found.flat is None else "leads", LEADS)
        scales = (
            (f"{signals.mm_per_s:g} mm/s", signals.speed_from),
            (f"{signals.mm_per_mv:g} mm/mV", signals.gain_from),
        )
        return cls(
            {key: values[key] for key in UNITS},
            "beats" if values["rate_bpm"] is None else "",
            tuple(lead for lead in LEADS if lead not in signals.read),
            tuple(scale for scale, source in scales if source == "assumed"),
        )

    def as_json(self) -> dict[str, Any]:
        return {"values": self.values, "problem": self.problem, "unread": self.unread, "assumed": self.assumed}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Measured:
        return cls(kept["values"], kept["problem"], tuple(kept["unread"]), tuple(kept["assumed"]))


@dataclass(frozen=True)
class PageEvidence:
    """Of the page that is open: what is kept, the curves on its picture, and mv [12, n] of the leads, None where none
    was read."""

    measured: Measured
    traces: tuple[Trace, ...] = ()
    mv: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def of(cls, found: Evidence, turns: int = 0) -> PageEvidence:
        """turns: quarter turns to the right by which the picture was turned after it was measured."""
        shown = tuple(trace.turned(turns) for trace in traces(found))
        return cls(Measured.of(found), shown, None if found.signals is None else found.signals.mv)

    def files(self, name: str) -> dict[str, bytes]:
        """The signals as files by their names (signal_files); none where nothing was read."""
        return {} if self.mv is None else signal_files(name, self.mv, FS)

    def kept(self) -> PageEvidence:
        """Without what only the open page needs."""
        return replace(self, traces=(), mv=None)


@dataclass(frozen=True)
class Line:
    """A line of the table in words. outside: where a value lies outside the normal range, how; "" elsewhere."""

    key: str
    name: str
    value: str
    normal: str
    outside: str


def table(measured: Measured, language: str) -> list[Line]:
    """Every measurement, those that could not be had as well; empty where nothing was measured."""
    return [] if measured.problem else [_line(key, value, language) for key, value in measured.values.items()]


def _line(key: str, value: float | None, language: str) -> Line:
    unit, normal = UNITS[key], NORMAL.get(key)
    name = translate(language, f"measured.{key}")
    if value is None:
        return Line(key, name, translate(language, "measured.absent"), "", "")
    judged = judge(key, value)
    outside = "" if judged == "normal" else translate(language, f"measured.is.{judged}")
    return Line(key, name, _with(round(value), unit), "" if normal is None else _range(normal, unit, language), outside)


def _with(value: float, unit: str) -> str:
    return f"{value:g}{unit}" if unit == "°" else f"{value:g} {unit}"


def _range(normal: Normal, unit: str, language: str) -> str:
    def between(low: float | None, high: float | None) -> str:
        assert high is not None
        words = _with(high, unit)
        if low is None:
            return translate(language, "measured.upto", high=words)
        return translate(language, "measured.between", low=f"{low:g}", high=words)

    if normal.women_high is None:
        return translate(language, "measured.normal", range=between(normal.low, normal.high))
    men, women = (between(normal.low, high) for high in (normal.high, normal.women_high))
    return translate(language, "measured.by_sex", men=men, women=women)


def notes(measured: Measured, language: str) -> list[str]:
    """What could not be read, and what was assumed."""
    told = [translate(language, f"measured.problem.{measured.problem}")] if measured.problem else []
    if measured.unread and measured.problem in ("", "beats"):
        told.append(translate(language, "measured.unread", leads=", ".join(measured.unread)))
    if measured.assumed:
        told.append(translate(language, "measured.assumed", scales=", ".join(measured.assumed)))
    return told
