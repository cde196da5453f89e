"""WFDB headers as recorders and archives write them, in the plain form that the wfdb package reads.

Names with spaces, dots or other scripts, dates in any form, micro signs in any encoding, gains like 1.0E+03: the
package refuses or misreads them. So a header is written anew beside links to its signal files, and the samples are
read there.
Format: https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np

from pulse.ecg.check import not_lfs
from pulse.ecg.record import RecordError

_FORMAT = re.compile(r"\d+(x\d+)?(:\d+)?(\+\d+)?")
_FORMATS = {"8", "16", "24", "32", "61", "80", "160", "212", "310", "311", "508", "516", "524"}
_GAIN = re.compile(r"(?P<gain>[-+]?[\d.]+(?:[eE][-+]?\d+)?)(?P<baseline>\(-?\d+\))?(?:/(?P<unit>\S+))?")
_PLAIN = "record"


def plain_header(header: Path, folder: Path) -> Path | None:
    """Write a header's plain form into `folder`, with links to the signal files that it names; the record's base name
    there. None for a header of segments, which is read where it lies.

    Raises RecordError when it is no header, names a file elsewhere or one that is not there, or says no gain.
    """
    not_lfs(header)
    raw = header.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    comments = [line for line in lines if line.startswith("#")]
    first, *signals = [line.split() for line in lines if not line.startswith("#")] or [[]]
    if first and re.search(r"/\d+$", first[0]):
        return None
    start = next((k for k in range(1, len(first)) if first[k] == str(len(signals))), None)
    if start is None or not signals:
        raise RecordError(f"{header} describes no signals; give a record of an ECG, not an annotation or a layout")
    # The date and the time of day are left out: nothing here needs them, and they come in every form.
    rate = first[start + 1].split("/")[0] if len(first) > start + 1 else "250"
    length = first[start + 2 : start + 3]
    plain = [" ".join([_PLAIN, str(len(signals)), rate, *length])]
    places: dict[str, str] = {}
    for words in signals:
        name, rest = _signal(header, words)
        places.setdefault(name, f"signals{len(places)}{Path(name).suffix}")
        plain.append(f"{places[name]} {rest}")
    for name, place in places.items():
        _link(header, name, folder / place)
    (folder / f"{_PLAIN}.hea").write_text("\n".join([*plain, *comments]) + "\n", encoding="utf-8")
    return folder / _PLAIN


def _signal(header: Path, words: list[str]) -> tuple[str, str]:
    """A signal's file, and the rest of its line."""
    forms = [k for k in range(1, len(words)) if _FORMAT.fullmatch(words[k])]
    # A name may hold numbers too: the format is the one that a gain follows.
    at = next((k for k in forms if _GAIN.fullmatch(" ".join(words[k + 1 : k + 2]))), next(iter(forms), None))
    if at is None:
        raise RecordError(f"{header}: the line {' '.join(words)[:60]!r} describes no signal; download the header again")
    name, form, rest = " ".join(words[:at]), words[at], words[at + 1 :]
    if name == "~":
        raise RecordError(f"{header} describes a layout, not samples; give the record whose segments it is for")
    if re.split(r"\D", form)[0] not in _FORMATS:
        raise RecordError(f"{header}: {form} is none of WFDB's formats of samples; download the header again")
    gain = _GAIN.fullmatch(rest[0]) if rest else None
    if rest and gain is None:
        raise RecordError(f"{header}: {rest[0]!r} is no gain; write it as units per millivolt, like 1000/mV")
    if gain is None or float(gain["gain"]) == 0:
        raise RecordError(
            f"{header}: says no gain, so nobody knows how many millivolts a step is; write the recorder's into the "
            "header, like 1000/mV"
        )
    unit = (gain["unit"] or "mV").replace("\u00b5", "u").replace("\u03bc", "u")
    number = np.format_float_positional(float(gain["gain"]), trim="-")
    return name, " ".join([form, f"{number}{gain['baseline'] or ''}/{unit}", *rest[1:]])


def _link(header: Path, name: str, place: Path) -> None:
    source = header.parent / name
    if Path(name).name != name or "\\" in name:
        raise RecordError(f"{header}: names {name}, which is no file beside it; correct the header")
    if not source.is_file():
        raise RecordError(f"{header} names {name}, which is not there; copy it beside the header")
    not_lfs(source)
    try:
        os.symlink(source.absolute(), place)
    except OSError:  # not every system and every user may
        shutil.copyfile(source, place)
