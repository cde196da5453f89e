"""Heart rate and intervals measured on a record's samples: PTB-XL lists neither.

neurokit2's "prominence" delineation, the one of its methods that gives a normal ECG at 100 Hz a PR of 150 ms and a QT
of 390 ms; its wavelet methods, made for higher rates, give QRS complexes of 180 ms there. It looks for the QRS's ends
within 50 ms of the R peak, so a wide QRS is not measured, only a narrow one. 100 Hz allows steps of 10 ms.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pulse.ecg.record import Record

_LEADS = ("II", "V5", "I")
# Milliseconds in which a measured interval is believed.
_BELIEVED = {"pr": (90, 340), "qrs": (50, 100), "qt": (260, 600)}
_ENDS = {
    "pr": ("ECG_P_Onsets", "ECG_R_Onsets"),
    "qrs": ("ECG_R_Onsets", "ECG_R_Offsets"),
    "qt": ("ECG_R_Onsets", "ECG_T_Offsets"),
}
_NO_PR = {"AFIB", "AFLT", "PACE", "SVTAC", "PSVT", "2AVB", "3AVB"}
_WIDE = {"CLBBB", "CRBBB", "IRBBB", "ILBBB", "IVCD", "WPW", "PACE"}
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
        if codes & _WIDE:
            qrs = None
        if self.qtc is not None and (self.qtc > 460) != bool(codes & _LONG_QT):
            qt = None
        return Intervals(self.rate, pr, qrs, qt)


def measure(record: Record) -> Intervals:
    """Medians over the beats, then over leads II, V5 and I."""
    import neurokit2 as nk

    lengths: dict[str, list[float]] = {name: [] for name in _ENDS}
    beats = list(_beats(record))
    for clean, peaks in beats:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # neurokit2 warns of what the next lines look after
                waves = nk.ecg_delineate(clean, peaks, sampling_rate=int(record.fs), method="prominence")[1]
        except (ValueError, IndexError, KeyError, ZeroDivisionError):
            continue
        for name, (begin, end) in _ENDS.items():
            gaps = _gaps(waves[begin], waves[end])
            if len(gaps) >= 3:
                lengths[name].append(1000 / record.fs * float(np.median(gaps)))
    found: dict[str, int | None] = {}
    for name, (low, high) in _BELIEVED.items():
        value = float(np.median(lengths[name])) if lengths[name] else float("nan")
        found[name] = 10 * round(value / 10) if low <= value <= high else None
    return Intervals(_rate(record, beats), **found)


def _gaps(begins: Sequence[float], ends: Sequence[float]) -> np.ndarray:
    """Samples from each begin to the next end: neurokit2's lists have NaN, or nothing, where it found no wave."""
    begin, end = (np.sort(at[np.isfinite(at)]) for at in (np.array(begins, float), np.array(ends, float)))
    following = np.searchsorted(end, begin, side="right")
    has_one = following < len(end)
    return np.asarray(end[following[has_one]] - begin[has_one])


def heart_rate(record: Record) -> float | None:
    """Beats a minute: the median over leads II, V5 and I of 60 / median RR; None when fewer than three beats show."""
    return _rate(record, list(_beats(record)))


def _rate(record: Record, beats: list[tuple[np.ndarray, np.ndarray]]) -> float | None:
    rates = [60 * record.fs / float(np.median(np.diff(peaks))) for _, peaks in beats]
    return round(float(np.median(rates)), 1) if rates else None


def _beats(record: Record) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cleaned samples and R peaks of the leads in which at least three beats are found."""
    import neurokit2 as nk

    for lead in _LEADS:
        try:
            clean = nk.ecg_clean(record.lead(lead), sampling_rate=int(record.fs))
            peaks = nk.ecg_peaks(clean, sampling_rate=int(record.fs))[1]["ECG_R_Peaks"]
        except (ValueError, IndexError, ZeroDivisionError):  # the detector gives up on leads without beats
            continue
        if len(peaks) >= 3:
            yield clean, peaks
