"""A format of ECG files: JSON with {"fs": 500, "unit": "uV", "leads": {"I": [...], ...}}. Put it into
pulse/ecg/formats/ as json_leads.py; `pulse-page RECORD.json --out page.png` then draws such a record.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pulse.ecg.check import checked, millivolts
from pulse.ecg.format import Format
from pulse.ecg.record import Record, RecordError


def read_json(path: Path, *, allow_missing: bool = False) -> Record:
    """Raises RecordError for what cannot be read with certainty; `checked` looks at leads, lengths and amplitudes."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        names, rate, scale = list(data["leads"]), float(data["fs"]), millivolts(data["unit"])
        signal = np.array([data["leads"][name] for name in names], np.float64) * scale
    except FileNotFoundError:
        raise RecordError(f"{path} is not there; check the path") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"{path} is no JSON with fs, unit and leads of equal length ({error}); export it again"
        ) from None
    return checked(signal, names, rate, name=path.stem, allow_missing=allow_missing)


FORMAT = Format("JSON with a list of samples a lead", (".json",), read_json)
