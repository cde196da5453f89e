"""One cell of a table: a lead's name with its unit, a sample, or a time, in the forms that programs write them."""

from __future__ import annotations

import re
from datetime import datetime

from pulse.ecg.check import lead_name, millivolts
from pulse.ecg.record import RecordError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "sec": 1.0, "secs": 1.0, "msec": 1e-3, "usec": 1e-6}
SECONDS |= {f"{size}second{s}": part for size, part in (("", 1.0), ("milli", 1e-3), ("micro", 1e-6)) for s in ("", "s")}
SECONDS |= {"sekunden": 1.0, "millisekunden": 1e-3, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0}
_TIMES = {"time", "t", "timestamp", "elapsed time", "seconds", "sec", "s", "ms", "us", "datetime", "date time"}
_TIMES |= {"zeit", "temps", "tiempo", "tempo", "tijd", "tid"}
_CLOCK = re.compile(r"(?:.*[\sT])?(?:(\d+):)?(\d+):(\d+(?:[.,]\d*)?)(?: ?([AaPp])\.?[Mm]\.?)?(?: \d+[./-]\d+[./-]\d+)?")
HALF_A_DAY = 12 * 3600.0
_LOST = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "?", ".", "missing", "<na>", "#n/a", "#num!"})
_LOST |= {"#value!", "#div/0!", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#ind", "1.#ind"}
_BRACKETED = re.compile(r"(.*?)\s*[(\[{]\s*([^)\]}]*?)\s*[)\]}]")
# The words of a unit that stands behind the name without brackets: "I_uV", "I/uV", "I in uV", "I, uV".
_BEHIND = re.compile(r"(.+?)(?:\s*[_/,-]\s*|\s+in\s+|\s+)(\S+)")


def name_and_unit(cell: str) -> tuple[str, str | None]:
    """A column's name and the unit that stands with it, as it stands: "I (mV)", "II [uV]", "V1_uV", "time_ms"."""
    cell = cell.strip().lstrip("#%").strip()
    if found := _BRACKETED.fullmatch(cell):
        return found[1].strip(), found[2] or None
    found = _BEHIND.fullmatch(cell)
    if found and unit_word(found[2]) and (lead_name(found[1]) or found[1].lower() in _TIMES):
        return found[1].strip(), found[2]
    return cell, None


def unit_word(cell: str) -> str | None:
    """The cell, without brackets, where it is a unit of voltage or time."""
    cell = cell.strip("()[]{} ")
    if cell.lower() in SECONDS or re.fullmatch(r"[hms:.]{5,}", cell.lower()) or scale(cell) is not None:
        return cell
    return None


def scale(unit: str) -> float | None:
    """Millivolts that a unit is, of the forms "uV" and "10 uV"; None where it is none."""
    step = re.match(r"(\d+(?:[.,]\d+)?)\s*", unit)
    # The second is a micro sign in UTF-8 that was read as Latin-1 once before.
    word = unit[step.end() if step else 0 :].replace("\u00c2", "")
    try:
        return (float(step[1].replace(",", ".") if step else 1) * millivolts(word)) or None
    except RecordError:
        return None


def time_unit(name: str) -> float | None:
    """Seconds that one step of a column of this name is; None where it is no column of times."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().replace("_", " ").strip()
    if plain in _TIMES:
        return SECONDS.get(plain, 1.0)
    first, _, last = plain.rpartition(" ")
    return SECONDS[last] if first in _TIMES and last in SECONDS else None


def sample(cell: str, mark: str) -> float:
    """A sample, NaN where it is lost; a comma is a decimal comma where `mark` does not part cells by it. Raises
    ValueError."""
    if cell.lower() in _LOST:
        return float("nan")
    cell = cell.replace("\u2212", "-")  # the minus of typesetting
    if "," in cell:
        if mark == "," and "." not in cell:
            raise ValueError(f"{cell!r} may be thousands or a fraction")
        # Of two kinds of marks the last one begins the fraction.
        cell = cell.replace(",", "") if cell.rfind(".") > cell.rfind(",") else cell.replace(".", "").replace(",", ".")
    return float(cell)


def moment(cell: str, mark: str) -> float:
    """A time in its column's unit, or in seconds where it is a clock's or a date's; a clock that stands beside a date
    alone counts, modulo HALF_A_DAY, where the date is in no form of ISO 8601. Raises ValueError."""
    plain = cell.strip("[] ")
    try:
        return sample(plain, mark)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(plain).timestamp()
    except ValueError:
        clock = _CLOCK.fullmatch(plain)
    if clock is None:
        raise ValueError(f"{cell!r} is no time; write seconds, or hh:mm:ss.sss")
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in clock.groups()[:3])
    return 3600 * (hours % 12 if clock[4] else hours) + 60 * minutes + seconds


def is_number(cell: str) -> bool:
    try:
        sample(cell, ";")
    except ValueError:
        return False
    return True
