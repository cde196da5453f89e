"""Turns samples of unknown origin into a `Record`, or says in one line what is wrong and how to fix it.

Every reader ends here, so an ECG is repaired alike whatever file it came from, and what was changed is written in
`Record.repairs`. Nothing is changed in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge_runtime.errors import UserError
from edge_runtime.leads import lead_name as lead_name
from pulse.ecg.record import LEADS, Record, RecordError
from pulse.files.side_file import check_not_lfs

MIN_SECONDS = 2.5  # one column of a 3x4 page
MIN_FS, MAX_FS = 50.0, 2000.0
MAX_GAP_SECONDS = 0.2
PULSE_SECONDS = 0.15  # less than the calibration pulse of any recorder
PADDING_SECONDS = 1.0  # a heart at rest and a recorder's noise never stand still for so long
MAX_MILLIVOLTS, MIN_MILLIVOLTS = 50.0, 0.02
_LOST_NUMBERS, _MAX_HEART = (-32768, -9999, -99999, -999999, -2147483648), 5.0
_FLAT = 0.0005  # mV from lowest to highest: below any recorder's step

_UNITS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6, "volt": 1e3, "volts": 1e3}
_UNITS |= {f"{size}volt{s}": _UNITS[key] for size, key in (("milli", "mv"), ("micro", "uv")) for s in ("", "s")}

# Einthoven (III = II - I) and Goldberger (the augmented leads), as weights of I and II.
_FROM_I_II = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


def millivolts(unit: str) -> float:
    """How many millivolts one `unit` ('V', 'mV', 'uV', 'nV') is. Raises RecordError for another unit."""
    scale = _UNITS.get(unit.strip().lower().replace("µ", "u").replace("μ", "u"))
    if scale is None:
        raise RecordError(f"unit {unit!r} is no voltage known here; convert the samples and give unit='mV' or 'uV'")
    return scale


def in_millivolts(samples: np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Samples of a table or array times `scale` (millivolts a step), NaN where a number that programs write for a lost
    sample is no voltage that a heart makes."""
    scaled = samples * scale
    lost = np.isin(samples, _LOST_NUMBERS) & (np.abs(scaled) > _MAX_HEART)
    return np.where(lost, np.nan, scaled)


def not_lfs(path: Path) -> None:
    """Raises RecordError when a file is Git LFS's pointer to the file that it should be."""
    try:
        check_not_lfs(path)
    except UserError as error:
        raise RecordError(str(error)) from None


def checked(
    signal: np.ndarray,
    leads: Sequence[str],
    fs: float,
    *,
    name: str = "",
    allow_missing: bool = False,
    repairs: Sequence[str] = (),
) -> Record:
    """A Record from samples [len(leads), n] in millivolts at `fs` samples a second.

    Repaired, and listed in `repairs` (after those given): more than twelve leads (the others are dropped); III, aVR,
    aVL, aVF missing (computed from I and II); gaps of NaN up to 0.2 s (interpolated); fs above 2000 Hz (averaged
    down); padding before or after all samples (cut off); flat leads, up to six, and flat parts of leads (kept).
    `allow_missing` draws absent leads flat, up to six.
    Raises RecordError for all else that is no 12-lead ECG of 2.5 s at 50 Hz or more.
    """
    notes = list(repairs)
    samples = _array(signal, leads, name)
    samples, fs = _rate(samples, fs, name, notes)
    found = _unpadded(_named(samples, leads, name, notes), fs, name, notes)
    found = {lead: _filled(row, fs, lead, name, notes) for lead, row in found.items()}
    _amplitudes(found, name)
    absent = _derived(found, name, allow_missing, notes)
    twelve = np.stack([found[lead] for lead in LEADS])
    _flat(twelve, absent, name, notes)
    return Record(twelve.astype(np.float32), fs, name=name, repairs=tuple(notes))


def _of(name: str) -> str:
    return f"{name}: " if name else ""


def _array(signal: np.ndarray, leads: Sequence[str], name: str) -> np.ndarray:
    signal = np.asarray(signal)
    if signal.ndim != 2 or signal.dtype.kind not in "iuf":
        raise RecordError(f"{_of(name)}samples are {signal.dtype} {list(signal.shape)}; give numbers as [leads, n]")
    if signal.shape[1] == 0:
        raise RecordError(f"{_of(name)}the record holds no samples; export it again from the recorder")
    if signal.shape[0] != len(leads):
        raise RecordError(
            f"{_of(name)}{signal.shape[0]} rows of samples but {len(leads)} lead names; give one name a row"
        )
    return signal.astype(np.float64)


def _rate(samples: np.ndarray, fs: float, name: str, notes: list[str]) -> tuple[np.ndarray, float]:
    fs = float(fs)
    if not np.isfinite(fs) or fs < MIN_FS:
        raise RecordError(f"{_of(name)}sampling rate {fs:g} Hz is too low to show a QRS; give {MIN_FS:g} Hz or more")
    seconds = samples.shape[1] / fs
    if seconds < MIN_SECONDS:
        raise RecordError(
            f"{_of(name)}{seconds:.4g} s at {fs:g} Hz is too short for a page; record {MIN_SECONDS:g} s or more, "
            "or correct fs"
        )
    if fs <= MAX_FS:
        return samples, fs
    # a mean of neighbours is its own anti-alias filter, and leaves the rate exact
    block = int(np.ceil(fs / 1000))
    kept = samples.shape[1] // block * block
    samples = samples[:, :kept].reshape(len(samples), -1, block).mean(axis=2)
    notes.append(f"{fs:g} Hz was reduced to {fs / block:g} Hz by averaging {block} samples into one")
    return samples, fs / block


def _named(samples: np.ndarray, leads: Sequence[str], name: str, notes: list[str]) -> dict[str, np.ndarray]:
    """The rows that are among the twelve; rows without any number are left out, as if they had not been recorded."""
    found: dict[str, np.ndarray] = {}
    others = []
    for text, row in zip(leads, samples, strict=True):
        lead = lead_name(text)
        if lead is None:
            others.append(text)
        elif lead in found:
            raise RecordError(f"{_of(name)}lead {lead} is there twice; keep one and name the other as it is")
        else:
            found[lead] = row
    if not found:
        raise RecordError(f"{_of(name)}none of {', '.join(others)} is a standard lead; name them {', '.join(LEADS)}")
    if others:
        notes.append(f"not among the twelve leads and dropped: {', '.join(others)}")
    empty = [lead for lead, row in found.items() if np.isnan(row).all()]
    if empty:
        notes.append(f"no number in lead {', '.join(empty)}: taken as missing")
    return {lead: row for lead, row in found.items() if lead not in empty}


def _unpadded(found: dict[str, np.ndarray], fs: float, name: str, notes: list[str]) -> dict[str, np.ndarray]:
    """The leads without what stands before and after the record: padding, in which no lead changes, and calibration
    pulses, in which all leads are the same."""
    if len(found) < 3:
        return found
    rows = np.stack(list(found.values()))
    still, count = np.diff(rows, axis=1) == 0, rows.shape[1]
    unchanged, same = still.all(axis=0), np.ptp(rows, axis=0) == 0
    if unchanged.all() or same.all():
        return found  # flat leads are judged elsewhere
    first = _begins(unchanged, same, fs)
    last = count - _begins(unchanged[::-1], same[::-1], fs)
    if last - first < count:
        notes.append(f"{(count - (last - first)) / fs:.2f} s of padding or calibration around the leads were cut off")
        if (last - first) / fs < MIN_SECONDS:
            raise RecordError(
                f"{_of(name)}only {(last - first) / fs:.2f} s are not padding, too short for a page; record "
                f"{MIN_SECONDS:g} s or more"
            )
    for (lead, _), quiet in zip(found.items(), still[:, first : last - 1], strict=True):
        longest = _longest(quiet) / fs
        if longest >= PADDING_SECONDS and not quiet.all():
            notes.append(f"lead {lead} does not change for {longest:.2f} s, a loose electrode or padding perhaps")
    return {lead: row[first:last] for lead, row in found.items()}


def _begins(unchanged: np.ndarray, same: np.ndarray, fs: float) -> int:
    """Where the record begins. unchanged [n - 1]: from each sample to the next; same [n]: in all leads."""
    padding, calibration = int(np.argmin(unchanged)) + 1, int(np.argmin(same))
    return max(
        padding if padding >= PADDING_SECONDS * fs else 0, calibration if calibration >= PULSE_SECONDS * fs else 0
    )


def _longest(true: np.ndarray) -> int:
    """The length of the longest run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], true.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _filled(row: np.ndarray, fs: float, lead: str, name: str, notes: list[str]) -> np.ndarray:
    if np.isinf(row).any():
        at = int(np.isinf(row).argmax()) / fs
        raise RecordError(f"{_of(name)}lead {lead} is infinite at {at:.2f} s; mark lost samples as NaN")
    lost = np.isnan(row)
    if not lost.any():
        return row
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lost.astype(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    longest = lengths.max() / fs
    if longest > MAX_GAP_SECONDS:
        at = edges[::2][lengths.argmax()] / fs
        raise RecordError(
            f"{_of(name)}lead {lead} has no samples for {longest:.2f} s at {at:.2f} s; only gaps up to "
            f"{MAX_GAP_SECONDS:g} s can be bridged: cut the record there or leave the lead out"
        )
    notes.append(f"lead {lead}: {len(lengths)} gap(s) of at most {longest:.2f} s were interpolated")
    places = np.arange(len(row))
    return np.interp(places, places[~lost], row[~lost])


def _amplitudes(found: dict[str, np.ndarray], name: str) -> None:
    """Values that no heart makes mean a wrong unit: drawn as they are, they would be a wrong diagnosis."""
    if not found:
        return
    lead, row = max(found.items(), key=lambda item: float(np.abs(item[1]).max()))
    peak = float(np.abs(row).max())
    if peak > MAX_MILLIVOLTS:
        probably = "microvolts: give unit='uV'" if peak < 50_000 else "ADC units: divide by the recorder's gain first"
        raise RecordError(f"{_of(name)}lead {lead} reaches {peak:g} mV, as no ECG does; probably these are {probably}")
    swing = max(float(np.ptp(row)) for row in found.values())
    if 0 < swing < MIN_MILLIVOLTS:
        raise RecordError(f"{_of(name)}no lead swings by more than {swing:.2g} mV; if these are volts, give unit='V'")


def _derived(found: dict[str, np.ndarray], name: str, allow_missing: bool, notes: list[str]) -> list[str]:
    """Adds the leads that are not in `found`; returns those that could only be drawn flat."""
    missing = [lead for lead in LEADS if lead not in found]
    computed = [lead for lead in missing if lead in _FROM_I_II and "I" in found and "II" in found]
    for lead in computed:
        of_one, of_two = _FROM_I_II[lead]
        found[lead] = of_one * found["I"] + of_two * found["II"]
    if computed:
        notes.append(f"computed from leads I and II: {', '.join(computed)}")
    absent = [lead for lead in missing if lead not in computed]
    if absent and not allow_missing:
        raise RecordError(
            f"{_of(name)}lead {', '.join(absent)} is missing and cannot be computed; "
            "add it, or allow missing leads to draw it flat"
        )
    if absent:
        if not found:
            raise RecordError(f"{_of(name)}no lead holds a number; export it again from the recorder")
        length = len(next(iter(found.values())))
        found.update({lead: np.zeros(length) for lead in absent})
        notes.append(f"missing and drawn flat: {', '.join(absent)}")
    return absent


def _flat(twelve: np.ndarray, absent: list[str], name: str, notes: list[str]) -> None:
    flat = [lead for lead, row in zip(LEADS, twelve, strict=True) if np.ptp(row) < _FLAT]
    if len(flat) > len(LEADS) // 2:
        raise RecordError(f"{_of(name)}{len(flat)} of 12 leads never change; check the electrodes and record again")
    loose = [lead for lead in flat if lead not in absent]
    if loose:
        notes.append(f"flat for the whole record, a loose electrode perhaps: {', '.join(loose)}")
