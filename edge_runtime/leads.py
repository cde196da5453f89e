"""The twelve leads of an electrocardiogram, and how those of the limbs hang together."""

from __future__ import annotations

import re

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

# Each limb lead as a sum of I and II (Einthoven 1912, Goldberger 1942).
OF_I_AND_II = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

_BY_KEY = {lead.lower(): lead for lead in LEADS} | {"di": "I", "dii": "II", "diii": "III"}
_BY_KEY |= {f"{c}{k}": f"V{k}" for k in range(1, 7) for c in ("c", "v0", "c0")}  # C1: in German, and in older books


def lead_name(text: str) -> str | None:
    """The name in `LEADS` that `text` writes ('AVR', 'lead ii', 'ECG I', 'C1', 'MDC_ECG_LEAD_V1'), None for any other.

    Only names of the very same lead count: MLII, V3R or -aVR are other leads.
    """
    key = re.sub(r"^(mdc[ _])?(ecg[ _]+)?(lead[ _]*)?", "", text.strip().lower())
    return _BY_KEY.get(re.sub(r"[ ._]", "", key))
