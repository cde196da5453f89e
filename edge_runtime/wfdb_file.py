"""A digital ECG in place of a picture of one: a WFDB header, RECORD.hea, with the signal files that it names.

Format: https://physionet.org/physiotools/wag/header-5.htm, signal-5.htm. A phone cannot carry the wfdb package: what
recorders and archives write is read here, and what is rare is left to the toolkit (`pulse-page`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import UserError, shorten
from edge_runtime.leads import LEADS, lead_name
from edge_runtime.recording import Array, Recording

_MOST_BYTES, _HEADER_BYTES = 64 << 20, 1 << 20  # of a signal file: 45 minutes of twelve leads at 1000 Hz
_RATE, _GAIN = 250.0, 200.0  # where the header says none
_MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "nv": 1e-6}
_FORMAT = re.compile(r"(?P<form>\d+)(?:x(?P<frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<start>\d+))?")
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SCALE = re.compile(rf"(?P<gain>[-+]?{_NUMBER})(?:\((?P<baseline>-?\d+)\))?(?:/(?P<unit>\S+))?")
_TOOLKIT = "draw it with pulse-page, and give the picture"


@dataclass(frozen=True)
class _Signal:
    """A line of the header. row: of LEADS, None for what is no ECG lead. to_mv: a step in millivolts."""

    file: str
    form: str
    start: int
    row: int | None
    to_mv: float
    baseline: int


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """The leads of a WFDB record of one segment, in millivolts. path: its header, RECORD.hea.

    Leads that are not there, and samples that the file marks as invalid, are NaN; signals that are no ECG lead are
    passed over. A gain that is missing or 0 is WFDB's default, 200 a millivolt. Raises UserError.
    """
    path = Path(path)
    try:
        fs, count, signals = _header(path)
        files = dict.fromkeys(signal.file for signal in signals if signal.row is not None)
        groups = [[signal for signal in signals if signal.file == file] for file in files]
        parts = [(group, _samples(path.parent, group, count)) for group in groups]
        count = min(len(samples) for _, samples in parts)
        mv = np.full((len(LEADS), count), np.nan)
        for group, samples in parts:
            for signal, column in zip(group, samples.T, strict=True):
                if signal.row is not None:
                    mv[signal.row] = (column[:count] - signal.baseline) * signal.to_mv
        return Recording(mv, fs)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _header(path: Path) -> tuple[float, int, list[_Signal]]:
    """Samples a second, how many (0: as many as the files hold), and the signals."""
    raw = _bytes(path, _HEADER_BYTES, "is")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [words for line in text.splitlines() if (words := line.split()) and not words[0].startswith("#")]
    if not lines:
        raise UserError("is empty; give a WFDB header, RECORD.hea")
    first, *rest = lines
    if re.search(r"./\d+$", first[0]):
        raise UserError(f"is a record of several segments; give the header of one of them, or {_TOOLKIT}")
    # A record's name may hold spaces.
    at = next((k for k in range(1, len(first)) if first[k] == str(len(rest))), None)
    if at is None:
        raise UserError("does not describe as many signals as it says; give the whole header of an ECG record")
    rate, count = [*first[at + 1 :], "", ""][:2]
    rate, count = rate.split("/")[0].split("(")[0] or str(_RATE), count or "0"
    if not re.fullmatch(_NUMBER, rate) or not re.fullmatch(r"\d{1,12}", count):
        raise UserError(f"{shorten(' '.join(first))} says no rate and count of samples; export the record again")
    signals = [_signal(words) for words in rest]
    rows = [signal.row for signal in signals if signal.row is not None]
    if not rows:
        raise UserError(f"holds no ECG lead; name its signals {', '.join(LEADS)}")
    if len(rows) > len(set(rows)):
        raise UserError(f"holds lead {LEADS[max(rows, key=rows.count)]} twice; keep one, and name the other as it is")
    return float(rate), int(count), signals


def _signal(words: list[str]) -> _Signal:
    """Its words: file, format, then if they are known gain(baseline)/unit, bits, zero, first, checksum, block, name."""
    # A file's name may hold spaces and numbers: the format is what a gain follows.
    forms = [k for k in range(1, len(words)) if _FORMAT.fullmatch(words[k])]
    at = next((k for k in forms if _SCALE.fullmatch(" ".join(words[k + 1 : k + 2]))), next(iter(forms), 0))
    layout, scale = _FORMAT.fullmatch(words[at]), _SCALE.fullmatch([*words[at + 1 :], "0"][0])
    file, zero, name = " ".join(words[:at]), [*words[at + 3 :], "0"][0], " ".join(words[at + 7 :])
    if at == 0 or layout is None or scale is None or not re.fullmatch(r"[-+]?\d+", zero):
        raise UserError(f"the line {shorten(' '.join(words))} describes no signal; export the record again")
    if layout["form"] not in _FORMATS:
        raise UserError(f"{file} has samples of format {layout['form']}, not {', '.join(_FORMATS)}; {_TOOLKIT}")
    if int(layout["frame"] or 1) != 1:
        raise UserError(f"{file} has {layout['frame']} samples a frame, and 1 is read here; {_TOOLKIT}")
    if int(layout["skew"] or 0):
        raise UserError(f"{file} has signals that lie apart in time (skew {layout['skew']}); {_TOOLKIT}")
    lead, unit = lead_name(name), (scale["unit"] or "mV").lower().replace("µ", "u").replace("μ", "u")
    if lead is not None and unit not in _MILLIVOLTS:
        raise UserError(f"lead {lead} is in {shorten(scale['unit'])}, no voltage; write its gain as steps a mV or uV")
    step = _MILLIVOLTS.get(unit, 1.0) / (float(scale["gain"]) or _GAIN)
    row = None if lead is None else LEADS.index(lead)
    return _Signal(file, layout["form"], int(layout["start"] or 0), row, step, int(scale["baseline"] or zero))


def _samples(folder: Path, group: list[_Signal], count: int) -> Array:
    """The steps [n, signals] of a file, float64, NaN where they are invalid."""
    file, form, start = group[0].file, group[0].form, group[0].start
    if Path(file).name != file or "\\" in file:
        raise UserError(f"names {shorten(file)}, which is no file beside it; copy it there, and correct the header")
    if any((one.form, one.start) != (form, start) for one in group):
        raise UserError(f"gives {file} more than one format or offset; export the record again")
    decode, bits, invalid = _FORMATS[form]
    data = _bytes(folder / file, _MOST_BYTES, f"names {file}, which is")[start:]
    there = 8 * len(data) // bits // len(group)
    if there < max(count, 1):
        raise UserError(f"{file} holds {there} of {max(count, 1)} samples a signal; copy it again, whole")
    total = (count or there) * len(group)
    steps = decode(data[: -(-total * bits // 8)])[:total].astype(np.float64)
    steps[steps == invalid] = np.nan
    return steps.reshape(-1, len(group))


def _bytes(path: Path, most: int, told: str) -> bytes:
    if not path.is_file():
        raise UserError(f"{told} not there; copy the .hea and its signal files into one folder")
    if path.stat().st_size > most:
        raise UserError(f"{told} larger than {most >> 20} MB; cut out the part to be read")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{told} not to be read ({error.strerror}); copy it again") from None


def _of_12_bits(data: bytes) -> Array:
    """Two samples in three bytes: the low bytes are the first and the third, the high halves share the second."""
    triples = np.frombuffer(data + bytes(-len(data) % 3), np.uint8).reshape(-1, 3).astype(np.int32)
    low, high = triples[:, ::2], np.stack([triples[:, 1] & 15, triples[:, 1] >> 4], 1)
    return (((low | high << 8) ^ 0x800) - 0x800).ravel()


def _of_24_bits(data: bytes) -> Array:
    wide = np.zeros((len(data) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0] >> 8


# How the samples are stored, how many bits each takes, and which is the invalid one.
_FORMATS: dict[str, tuple[Callable[[bytes], Array], int, int]] = {
    "16": (lambda data: np.frombuffer(data, "<i2"), 16, -(1 << 15)),
    "212": (_of_12_bits, 12, -(1 << 11)),
    "80": (lambda data: np.frombuffer(data, np.uint8).astype(np.int32) - 128, 8, -(1 << 7)),
    "24": (_of_24_bits, 24, -(1 << 23)),
    "32": (lambda data: np.frombuffer(data, "<i4"), 32, -(1 << 31)),
    "61": (lambda data: np.frombuffer(data, ">i2"), 16, -(1 << 15)),
}
