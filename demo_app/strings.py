"""Every word the app says, in English and German: one file each in languages/, with the same keys and placeholders.

The model itself answers in the language it was trained in.
"""

from __future__ import annotations

import json
import locale
import os
from pathlib import Path

LANGUAGES = {"en": "English", "de": "Deutsch"}
_FOLDER = Path(__file__).resolve().parent / "languages"
TEXTS: dict[str, dict[str, str]] = {
    code: json.loads((_FOLDER / f"{code}.json").read_text(encoding="utf-8")) for code in LANGUAGES
}


def translate(language: str, key: str, **values: object) -> str:
    """The text for `key`. Raises KeyError for an unknown key: a missing text is a fault, not something to show."""
    text = TEXTS[language][key]
    return text.format(**values) if values else text


def finding_name(language: str, label: str, name: str) -> str:
    """A finding in the app's language; the bundle's own name for one the app has no word for."""
    return TEXTS[language].get(f"finding.{label}", name)


def system_language() -> str:
    """The system's language if the app speaks it, else English."""
    named = next((v for k in ("LC_ALL", "LC_MESSAGES", "LANG") if (v := os.environ.get(k))), None)
    code = (named or locale.getlocale()[0] or "en")[:2].lower()
    return code if code in LANGUAGES else "en"
