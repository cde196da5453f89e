"""Normal ranges of an adult's ECG at rest, as guidelines have them, and the names of electrical axes.

A range tells what is usual, not who is ill. Ages below 16 have others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_CONDUCTION = "AHA/ACCF/HRS 2009, part III (Surawicz et al., doi:10.1161/CIRCULATIONAHA.108.191095)"
_QT = "AHA/ACCF/HRS 2009, part IV (Rautaharju et al., doi:10.1161/CIRCULATIONAHA.108.191096)"
_SLOW = "ACC/AHA/HRS 2018 (Kusumoto et al., doi:10.1161/CIR.0000000000000628)"
_FAST = "ACC/AHA/HRS 2015 (Page et al., doi:10.1161/CIR.0000000000000311)"


@dataclass(frozen=True)
class Normal:
    """low, high: the first and last normal value, None where the sources set none. women_high: where theirs is another;
    high is then men's. sources: where the limits are from."""

    low: float | None
    high: float | None
    sources: tuple[str, ...]
    women_high: float | None = None

    def judge(self, value: float) -> str:
        """ "low", "high", "normal", or "high_in_men" where it is high in men alone; of the value as it is shown."""
        shown = round(value)
        if self.low is not None and shown < self.low:
            return "low"
        if self.high is None or shown <= self.high:
            return "normal"
        return "high_in_men" if self.women_high is not None and shown <= self.women_high else "high"


# By the keys of Measurements. QT itself has no range: it follows the rate.
_QTC = Normal(391, 449, (_QT,), women_high=459)
NORMAL = {
    "rate_bpm": Normal(50, 100, (_SLOW, _FAST)),
    "pr_ms": Normal(120, 200, (_CONDUCTION, _SLOW)),
    "qrs_ms": Normal(None, 110, (_CONDUCTION,)),
    "qtc_bazett_ms": _QTC,
    "qtc_fridericia_ms": _QTC,
    "qrs_axis_deg": Normal(-30, 90, (_CONDUCTION,)),
}


def judge(key: str, value: float) -> str:
    """What Normal.judge says of a measurement; of an axis "left" and "right" for "low" and "high", and "normal" of what
    has no range."""
    found = NORMAL[key].judge(value) if key in NORMAL else "normal"
    return {"low": "left", "high": "right"}.get(found, found) if key.endswith("_axis_deg") else found


def judged(values: Mapping[str, float | None]) -> dict[str, dict[str, Any]]:
    """Each range for JSON, with what it makes of the value: "judged", None where there is no value."""
    made = {}
    for key, normal in NORMAL.items():
        value = values.get(key)
        made[key] = {**asdict(normal), "judged": None if value is None else judge(key, value)}
    return made


# Up to which degree, as part III of the recommendations names them.
_AXES = (
    (-91, "extreme axis deviation"),
    (-46, "marked left axis deviation"),
    (-31, "left axis deviation"),
    (90, "normal axis"),
    (120, "right axis deviation"),
    (180, "marked right axis deviation"),
)


def axis_name(degrees: float) -> str:
    """The name of a QRS axis of -180 to 180 degrees."""
    return next(name for high, name in _AXES if round(degrees) <= high)
