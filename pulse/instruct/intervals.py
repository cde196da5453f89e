"""Heart rate and intervals measured on a record's samples: PTB-XL lists neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_runtime.waves import intervals as waves
from pulse.ecg.record import Record

_NO_PR = {"AFIB", "AFLT", "PACE", "SVTAC", "PSVT", "2AVB", "3AVB"}
_WIDE, _MAY_BE_WIDE = {"CLBBB", "CRBBB"}, {"IRBBB", "ILBBB", "IVCD", "WPW", "PACE"}
_LONG_PR, _LONG_QT = {"1AVB", "LPR"}, {"LNGQT"}


@dataclass(frozen=True)
class Intervals:
    """Beats a minute, and milliseconds rounded to ten; None where not known."""

    rate: float | None = None
    pr: int | None = None
    qrs: int | None = None
    qt: int | None = None

    @property
    def qtc(self) -> int | None:
        """QT corrected for the rate (Bazett 1920), rounded to ten."""
        return None if self.qt is None or not self.rate else 10 * round(self.qt * (self.rate / 60) ** 0.5 / 10)

    def agreeing(self, scp_codes: Mapping[str, float]) -> Intervals:
        """Without what contradicts the cardiologist's statements, or has no meaning beside them."""
        codes = set(scp_codes)
        pr, qrs, qt = self.pr, self.qrs, self.qt
        if pr is not None and (codes & _NO_PR or (pr > 200) != bool(codes & _LONG_PR)):
            pr = None
        if qrs is not None and not codes & _MAY_BE_WIDE and (qrs >= 120) != bool(codes & _WIDE):
            qrs = None
        if self.qtc is not None and (self.qtc > 460) != bool(codes & _LONG_QT):
            qt = None
        return Intervals(self.rate, pr, qrs, qt)


def measure(record: Record) -> Intervals:
    """As edge_runtime.waves measures, rounded to what 100 samples a second allow."""
    found = waves.measure(record.signal, record.fs)
    return Intervals(_rate(found), _tens(found.pr_ms), _tens(found.qrs_ms), _tens(found.qt_ms))


def heart_rate(record: Record) -> float | None:
    """Beats a minute to a tenth; None when fewer than three beats show."""
    return _rate(waves.measure(record.signal, record.fs))


def _rate(found: waves.Measurements) -> float | None:
    return None if found.rate_bpm is None else round(found.rate_bpm, 1)


def _tens(value: float | None) -> int | None:
    return None if value is None else 10 * round(value / 10)
